import type { TranslationBundle } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { IApi, Wire } from '../asking';
import type { IEvents, Listener } from '../events';
import { IClock, Notice, RunSeen, StatusModel } from './model';
import { duration, ending, sentence, summary } from './words';

function world(ends: number | null, job = '42'): Wire['World'] {
  return { place: 'node1', ranks: 8, started: 0, job, words: '', ends };
}

function session(id: string, ...worlds: Wire['World'][]): Wire['Session'] {
  return { id, ranks: 8 * worlds.length, worlds, kernel: 1, orphaned: false };
}

function run(state: string, given: Partial<RunSeen> = {}): RunSeen {
  const ended = !['running', 'paused'].includes(state);
  return { id: 'r1', results: ['mass', 'met'], state, failures: 0, words: '', started: 500, ended, ...given };
}

/** A server and its clock, for any number of pages. */
class Server implements IApi {
  time = 1000;
  told = new Map<string, number>();
  away = false;

  async ask(_method: string, _path: string, options: { body?: unknown } = {}): Promise<never> {
    if (this.away) {
      throw new Error('away');
    }
    const { id, at } = options.body as Wire['Notice'];
    const mine = !this.told.has(id) || at > this.told.get(id)! + 60;
    this.told.set(id, at);
    return { mine } as never;
  }
}

class Page implements IEvents, IClock {
  shown = true;
  timer: { act: () => void; at: number } | null = null;
  listeners: Record<string, Listener> = {};
  ended: RunSeen[] = [];
  notices: Notice[] = [];
  readonly model: StatusModel;

  constructor(private readonly server: Server) {
    this.model = new StatusModel(server, this, this);
    this.model.noticed.connect((_, notice) => void this.notices.push(notice));
    this.model.ended.connect((_, run) => void this.ended.push(run));
  }
  watch(topic: string, listener: Listener) {
    this.listeners[topic] = listener;
    return { isDisposed: false, dispose: () => undefined };
  }
  now = () => this.server.time;
  visible = () => this.shown;
  later(act: () => void, seconds: number) {
    const timer = { act, at: this.server.time + seconds };
    this.timer = timer;
    return () => void (this.timer = this.timer === timer ? null : this.timer);
  }
  async hears(...sessions: Wire['Session'][]): Promise<void> {
    this.listeners['status']({ data: { version: '1', sessions } });
    await flush();
  }
  async runs(...runs: RunSeen[]): Promise<void> {
    this.listeners['runs']({ data: { kernels: [{ runs }] } });
    await flush();
  }
  /** Let the time go on to `until`, with what comes due. */
  async live(until: number): Promise<void> {
    while (this.timer && this.timer.at <= until) {
      const { act, at } = this.timer;
      this.timer = null;
      this.server.time = at;
      act();
      await flush();
    }
    this.server.time = until;
  }
}

async function flush(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve();
  }
}

const trans = {
  __: (text: string, ...given: unknown[]) => text.replace(/%(\d)/g, (_, i: string) => String(given[Number(i) - 1])),
  _n: (one: string, many: string, n: number) => (n === 1 ? one : many).replace('%1', String(n))
} as unknown as TranslationBundle;

describe('the status bar', () => {
  it('counts ranks and says when the first of them end', async () => {
    const page = new Page(new Server());
    expect(summary(page.model, trans)).toBe('');
    await page.hears(session('a', world(1000 + 7000), world(1000 + 5000)), session('b', world(null, '')));
    expect(summary(page.model, trans)).toBe('24 ranks, 1 h 23 min left');
    await page.hears(session('b', world(null, '')));
    expect(summary(page.model, trans)).toBe('8 ranks');
    expect(page.timer).toBeNull(); // nothing changes by itself
  });

  it('draws again when a minute is over', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(1000 + 610)));
    let drawn = '';
    page.model.changed.connect(model => (drawn = summary(model, trans)));
    await page.live(1000 + 11);
    expect(drawn).toBe('8 ranks, 9 min left');
  });

  it.each([
    [59, 'less than 1 min'],
    [3599, '59 min'],
    [7260, '2 h 1 min'],
    [90000, '1 d 1 h']
  ])('says %d s as %s', (seconds, words) => expect(duration(seconds, trans)).toBe(words));

  it('keeps what it knows while the server does not answer', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(null)));
    page.listeners['status']({ error: '' });
    page.listeners['runs']({ error: '' });
    expect(page.model.ranks).toBe(8);
  });
});

describe('notices', () => {
  it('come 5 and 1 minutes before the end, once each', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(2000)));
    await page.live(1990);
    expect(page.notices.map(notice => Math.round(notice.left))).toEqual([300, 60]);
    expect(sentence(page.notices[0], trans)).toBe('The time of job 42 (mpidist session a) is over in 5 min.');
    await page.hears(session('a', world(2001))); // Slurm counts whole seconds
    expect(page.notices).toHaveLength(2);
  });

  it('are told by one of two pages', async () => {
    const server = new Server();
    const pages = [new Page(server), new Page(server)];
    for (const page of pages) {
      await page.hears(session('a', world(1200)));
    }
    expect(pages.map(page => page.notices.length)).toEqual([1, 0]);
  });

  it('come only with the last limit if the others are over', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(1030)));
    expect(page.notices.map(notice => notice.id)).toEqual(['limit:a:42:60']);
  });

  it('come again when the time was extended', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(1200)));
    await page.hears(session('a', world(9000)));
    await page.live(8701);
    expect(page.notices).toHaveLength(2);
  });

  it('are not told while the page is hidden, nor of what was known before', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(2000)));
    page.shown = false;
    await page.live(1750);
    page.shown = true;
    await page.live(1800);
    expect(page.notices).toHaveLength(0); // the session may be gone
    await page.hears(session('a', world(2000)));
    expect(page.notices).toHaveLength(1);
  });

  it('are told without the server, rather than not at all', async () => {
    const server = new Server();
    const page = new Page(server);
    server.away = true;
    await page.hears(session('a', world(1200)));
    expect(page.notices).toHaveLength(1);
  });

  it('can be turned off, and have other limits', async () => {
    const page = new Page(new Server());
    page.model.notifies = false;
    await page.hears(session('a', world(1200)));
    expect(page.notices).toHaveLength(0);
    page.model.notifies = true;
    page.model.limits = [100];
    await page.live(1150);
    expect(page.notices.map(notice => Math.round(notice.left))).toEqual([100]);
  });

  it('are of ranks without a job, too, and of none whose time is over', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(1200, '')), session('b', world(900)));
    expect(page.notices.map(notice => sentence(notice, trans))).toEqual([
      'The time of mpidist session a is over in 3 min.'
    ]);
  });
});

describe('runs', () => {
  it('are counted while they have not ended', async () => {
    const page = new Page(new Server());
    await page.hears(session('a', world(null)));
    await page.runs(run('running'), run('paused', { id: 'r2' }), run('done', { id: 'r3' }));
    expect(summary(page.model, trans)).toBe('8 ranks, 2 runs');
  });

  it('that took long are told of when they end, by one page', async () => {
    const server = new Server();
    const pages = [new Page(server), new Page(server)];
    for (const state of ['running', 'done', 'done']) {
      for (const page of pages) {
        await page.runs(run(state));
      }
    }
    expect(pages.map(page => page.ended.length)).toEqual([1, 0]);
    expect(ending(pages[0].ended[0], trans)).toBe('The run of mass, met is done.');
  });

  it('that were short, or had ended before, are not told of', async () => {
    const page = new Page(new Server());
    await page.runs(run('running', { started: 990 }), run('done', { id: 'r2' }));
    await page.runs(run('done', { started: 990 }), run('done', { id: 'r2' }));
    expect(page.ended).toHaveLength(0);
  });

  it('that fail say why', () => {
    expect(ending(run('failed', { words: 'RankDied: rank 3' }), trans)).toBe(
      'The run of mass, met has failed: RankDied: rank 3'
    );
    expect(ending(run('done', { failures: 2, results: ['a', 'b', 'c', 'd'] }), trans)).toBe(
      'The run of a, b, c, … is done. 2 parts failed.'
    );
  });
});
