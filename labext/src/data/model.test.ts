import { describe, expect, it } from 'vitest';

import { IApi, Refused, Wire } from '../asking';
import { code, named, short, trimmed } from './code';
import { DataModel, placed } from './model';
import { KEPT, NamesModel } from './names';

function object(name: string, tree = false): Wire['DataObject'] {
  return { name, kind: tree ? 'TTree' : 'TDirectory', type: '', entries: null, columns: null, stored: 0, raw: 0, compression: '', tree };
}

function column(name: string): Wire['Column'] {
  return { name, access: `.${name}`, type: 'float32', stored: 1, raw: 2, problem: '' };
}

const CONTENTS: Wire['Contents'] = {
  path: 'data/x.root',
  name: '/home/data/x.root',
  format: 'ROOT',
  size: 9,
  compression: '',
  objects: [object('one'), object('one/b', true), object('one/a', true), object('h')],
  more: 0
};
const GLANCE = { entries: 1 } as Wire['Glance'];

class Server implements IApi {
  asked: [string, Record<string, unknown>][] = [];
  signals: (AbortSignal | undefined)[] = [];
  answers: Record<string, unknown> = { contents: CONTENTS, columns: { entries: 10, columns: [column('x'), column('y')], total: 3 }, glance: GLANCE };
  waiting: (() => void)[] | null = null;
  acts: (() => void)[] = [];
  visible = true;
  readonly model = new DataModel('data/x.root', this, () => this.visible, act => this.acts.push(act));

  async ask(_: string, path: string, options: { body?: unknown; signal?: AbortSignal } = {}): Promise<never> {
    const what = path.split('/').pop() as string;
    this.signals.push(options.signal);
    this.asked.push([what, options.body as Record<string, unknown>]);
    const answer = this.answers[what];
    if (this.waiting) {
      await new Promise<void>(go => this.waiting?.push(go));
    }
    if (answer instanceof Error) {
      throw answer;
    }
    return answer as never;
  }
}

async function begun(): Promise<Server> {
  const server = new Server();
  server.model.active = true;
  await flush();
  return server;
}

async function flush(): Promise<void> {
  for (let i = 0; i < 30; i++) {
    await Promise.resolve();
  }
}

describe('DataModel', () => {
  it('looks into the file when it is first seen, and into its first tree', async () => {
    const server = await begun();
    server.model.active = false;
    server.model.active = true;
    await flush();
    expect(server.asked.map(each => each[0])).toEqual(['contents', 'columns']);
    expect([server.model.tree, server.model.entries, server.model.columns.length]).toEqual(['one/b', 10, 2]);
    expect(server.model.busy('columns')).toBe(false);
  });

  it('stays in the tree when the file is read anew, if that is still there', async () => {
    const server = await begun();
    await server.model.choose('one/a');
    await server.model.load();
    expect(server.model.tree).toBe('one/a');
    server.answers['contents'] = { ...CONTENTS, objects: [object('other', true)] };
    await server.model.load();
    expect(server.model.tree).toBe('other');
  });

  it('searches when nothing more is typed, and shows more', async () => {
    const server = await begun();
    server.asked = [];
    server.model.search('p');
    server.model.search('pt');
    server.acts.forEach(act => act());
    await flush();
    expect(server.asked.map(each => each[1]['find'])).toEqual(['pt']);
    server.answers['columns'] = { entries: 10, columns: [column('z')], total: 3 };
    await server.model.more();
    expect(server.asked[1][1]['start']).toBe(2);
    expect(server.model.columns.map(each => each.name)).toEqual(['x', 'y', 'z']);
  });

  it('shows the glance that was asked for last', async () => {
    const server = await begun();
    server.waiting = [];
    const first = server.model.look(column('x'));
    server.answers['glance'] = { entries: 2 };
    const second = server.model.look(column('y'));
    server.waiting.reverse().forEach(go => go());
    await Promise.all([first, second]);
    expect([server.model.column?.name, server.model.glance]).toEqual(['y', { entries: 2 }]);
  });

  it('lets the server off what nobody waits for any more', async () => {
    const server = await begun();
    server.waiting = [];
    server.signals = [];
    void server.model.look(column('x'));
    void server.model.look(column('y'));
    expect(server.signals.map(each => each?.aborted)).toEqual([true, false]);
    server.model.stop();
    expect(server.signals.map(each => each?.aborted)).toEqual([true, true]);
    server.waiting.forEach(go => go());
    await flush();
    expect([server.model.glance, server.model.problem]).toEqual([null, '']);
  });

  it('answers both who searches and looks at a column', async () => {
    const server = await begun();
    server.waiting = [];
    const look = server.model.look(column('x'));
    server.answers['columns'] = { entries: 10, columns: [column('z')], total: 1 };
    server.model.search('z');
    server.acts.forEach(act => act());
    expect([server.model.busy('columns'), server.model.busy('glance')]).toEqual([true, true]);
    server.waiting.forEach(go => go());
    await look;
    await flush();
    expect([server.model.glance, server.model.columns.map(each => each.name)]).toEqual([GLANCE, ['z']]);
  });

  it('shows no glance of a tree that was left', async () => {
    const server = await begun();
    server.waiting = [];
    const look = server.model.look(column('x'));
    const choice = server.model.choose('one/a');
    server.waiting.forEach(go => go());
    await Promise.all([look, choice]);
    expect([server.model.tree, server.model.column, server.model.glance]).toEqual(['one/a', null, null]);
  });

  it('says what went wrong, and keeps what is there', async () => {
    const server = await begun();
    server.answers['glance'] = new Refused('it is cut off', 409);
    await server.model.look(column('x'));
    expect([server.model.problem, server.model.glance, server.model.columns.length]).toEqual(['it is cut off', null, 2]);
    server.answers['contents'] = new Refused('there is no file', 404);
    await server.model.load();
    expect([server.model.problem, server.model.contents]).toEqual(['there is no file', CONTENTS]);
  });

  it('shows saved results, and again when they were written anew, while it is seen', async () => {
    const server = new Server();
    const results = { ...CONTENTS, format: 'results of mpidist', objects: [object('results')], stamp: '1' };
    server.answers = { contents: results, page: { html: '<p>1' } };
    server.model.active = true;
    await flush();
    expect([server.model.page, server.model.tree]).toEqual(['<p>1', null]);
    const again = async () => {
      server.acts.splice(0).forEach(act => act());
      await flush();
    };
    server.asked = [];
    await again();
    expect(server.asked.map(each => each[0])).toEqual(['contents']);
    server.answers = { contents: { ...results, stamp: '2' }, page: { html: '<p>2' } };
    server.visible = false;
    await again();
    expect([server.model.page, server.asked.length]).toEqual(['<p>1', 1]);
    server.visible = true;
    await again();
    expect(server.model.page).toBe('<p>2');
    server.answers['contents'] = new Refused('it is being written', 409);
    await again();
    expect([server.model.page, server.model.problem]).toEqual(['<p>2', '']);
    server.model.active = false;
    server.asked = [];
    await again();
    await again();
    expect([server.asked, server.acts]).toEqual([[], []]);
    server.model.active = true;
    expect(server.acts).toHaveLength(1);
    server.model.stop();
    await again();
    expect(server.acts).toEqual([]);
  });

  it('folds groups', async () => {
    const server = await begun();
    expect(server.model.shown.map(each => each.label)).toEqual(['h', 'one', 'a', 'b']);
    server.model.fold('one');
    expect(server.model.shown.map(each => each.label)).toEqual(['h', 'one']);
    server.model.fold('one');
    expect(server.model.shown).toHaveLength(4);
  });
});

describe('placed', () => {
  it('puts objects below their groups, and keeps names whose folder is no object', () => {
    const found = placed([object('a/b/c'), object('a'), object('x/y')]);
    expect(found.map(each => [each.label, each.within, each.group])).toEqual([
      ['a', [], true],
      ['b/c', ['a'], false],
      ['x/y', [], false]
    ]);
  });
});

describe('code', () => {
  it('names files from the notebook on', () => {
    expect(named('data/x.root', 'work/a.ipynb')).toBe('../data/x.root');
    expect(named('data/x.root', 'a.ipynb')).toBe('data/x.root');
    expect(named('root://h//x.root', 'work/a.ipynb')).toBe('root://h//x.root');
    expect(named('x.root', null)).toBe('x.root');
  });

  it('opens events, a column, and saved results', () => {
    expect(code(CONTENTS, 'one/b', column('x'), 'a.ipynb')).toBe('import mpidist as md\n\nevents = md.open("data/x.root:one/b")\nevents.x');
    expect(code(CONTENTS, '', null, 'data/a.ipynb')).toBe('import mpidist as md\n\nevents = md.open("x.root")\nevents');
    expect(code({ ...CONTENTS, format: 'results of mpidist' }, null, null, null)).toContain('md.load("data/x.root")');
    expect(code({ ...CONTENTS, path: 'a"b\\c.root' }, 't', null, null)).toContain('md.open("a\\"b\\\\c.root:t")');
  });

  it('writes numbers short', () => {
    expect([7, 1200, 100000, 3e7].map(short)).toEqual(['7', '1.2 k', '100 k', '30 M']);
    expect([0, 0.12345, 1234.5, 1e-7, -3].map(trimmed)).toEqual(['0', '0.123', '1235', '1e-7', '-3']);
  });
});

describe('NamesModel', () => {
  it('remembers what was looked into, the last first', async () => {
    const shown: string[] = [];
    let saved: readonly string[] = [];
    const model = new NamesModel({ load: async () => ['old.root'], save: names => (saved = names) }, path => shown.push(path));
    await flush();
    model.type('  root://h//x.root ');
    model.open();
    model.open('old.root');
    model.type(' ');
    model.open();
    expect(shown).toEqual(['root://h//x.root', 'old.root']);
    expect(saved).toEqual(['old.root', 'root://h//x.root']);
    for (let at = 0; at < 20; at++) {
      model.note(`${at}.root`);
    }
    expect(model.recent).toHaveLength(KEPT);
  });
});
