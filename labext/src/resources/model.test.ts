import { describe, expect, it } from 'vitest';

import { IApi, Refused, Wire } from '../asking';
import type { IEvents, Listener } from '../events';
import { bytes } from '../words';
import { duration, EMPTY, IMemory, Remembered, ResourcesModel, spent } from './model';

const DEBUG: Wire['Partition'] = {
  name: 'debug',
  up: true,
  default: true,
  longest_time: '1:00:00',
  default_time: '10:00',
  idle: 2,
  allocated: 2,
  nodes: 4,
  processors: '4',
  megabytes: '8000'
};
const CHOICES: Wire['Choices'] = { present: true, problem: '', partitions: [DEBUG], accounts: [], qos: [] };

class Server implements IApi, IEvents, IMemory {
  asked: [string, string, unknown][] = [];
  answers: Record<string, unknown> = {
    '/mpidist/api/resources/choices': CHOICES,
    '/mpidist/api/resources/script': { script: '#!/bin/bash', code: 'session = 1', field: '', problem: '' }
  };
  listener: Listener | null = null;
  remembered: Partial<Remembered> = {};
  acts: (() => void)[] = [];
  readonly model = new ResourcesModel(this, this, this, act => this.acts.push(act));

  async ask(method: string, path: string, options: { body?: unknown; places?: unknown } = {}): Promise<never> {
    this.asked.push([method, path, options.body ?? options.places]);
    const answer = this.answers[path];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer as never;
  }
  watch(_: string, listener: Listener) {
    this.listener = listener;
    return { isDisposed: false, dispose: () => void (this.listener = null) };
  }
  async load() {
    return this.remembered;
  }
  save(what: Remembered) {
    this.remembered = what;
  }
  async calm(): Promise<void> {
    await flush();
    this.acts.splice(0).forEach(act => act());
    await flush();
  }
}

async function flush(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve();
  }
}

async function begun(remembered: Partial<Remembered> = {}): Promise<Server> {
  const server = new Server();
  server.remembered = remembered;
  server.model.active = true;
  await server.calm();
  return server;
}

describe('ResourcesModel', () => {
  it('watches only while it is seen', async () => {
    const server = await begun();
    expect(server.listener).not.toBeNull();
    server.model.active = false;
    expect(server.listener).toBeNull();
  });

  it('shows what it is told, and why it is told nothing', async () => {
    const server = await begun();
    const resources = { sessions: [], slurm: { present: false, problem: '', jobs: [] }, processors: 2 };
    server.listener?.({ data: resources });
    expect(server.model.resources).toEqual(resources);
    server.listener?.({ error: 'Slurm is away' });
    expect([server.model.problem, server.model.resources]).toEqual(['Slurm is away', resources]);
    server.listener?.({ error: '' });
    expect(server.model.problem).toMatch('interrupted');
  });

  it('asks about a form once it is calm, and keeps the last answer only', async () => {
    const server = await begun({ place: 'slurm' });
    server.asked = [];
    server.model.edit({ nodes: 2 });
    server.model.edit({ nodes: 3 });
    await server.calm();
    expect(server.asked.map(each => each[2])).toEqual([{ ...EMPTY, nodes: 3 }]);
    expect(server.model.code).toBe('session = 1');
    server.answers['/mpidist/api/resources/script'] = { script: '', code: '', field: 'nodes', problem: 'debug has 4' };
    server.model.edit({ nodes: 9 });
    await server.calm();
    expect([server.model.code, server.model.script?.field]).toEqual([null, 'nodes']);
  });

  it('remembers what was asked for, without a partition that has gone', async () => {
    const server = await begun({ place: 'slurm', ranks: 7, form: { ...EMPTY, nodes: 3, partition: 'gone' } });
    const { place, ranks, form } = server.model;
    expect([place, ranks, form.nodes, form.partition]).toEqual(['slurm', 7, 3, '']);
    server.model.choose({ ranks: 8 });
    expect(server.remembered.ranks).toBe(8);
  });

  it('needs no Slurm for ranks on this machine', async () => {
    const server = new Server();
    server.answers['/mpidist/api/resources/choices'] = new Refused('there is no sinfo', 409);
    server.model.active = true;
    await server.calm();
    server.model.choose({ place: 'local', ranks: 3 });
    expect(server.model.code).toContain('md.Local(ranks=3)');
    expect(server.model.words).toBe('there is no sinfo');
  });

  it('asks for ranks without a notebook, once', async () => {
    const server = await begun({ place: 'local', ranks: 3 });
    server.answers['/mpidist/api/resources/sessions'] = { words: 'session 0a is asked for: this machine' };
    await Promise.all([server.model.submit(), server.model.submit()]);
    expect(server.asked.filter(each => each[1].endsWith('sessions'))).toEqual([
      ['post', '/mpidist/api/resources/sessions', { place: 'local', ranks: 3, form: EMPTY }]
    ]);
    expect([server.model.words, server.model.submitting]).toEqual(['session 0a is asked for: this machine', false]);
    server.answers['/mpidist/api/resources/sessions'] = new Refused('no disk', 409);
    await server.model.submit();
    expect([server.model.words, server.model.submitting]).toEqual(['no disk', false]);
  });

  it('tells what is kept from what is only asked for', async () => {
    const server = await begun();
    const held = (session: string, state: string) => ({ session, place: 'here', asked: 0, state, words: state, over: false });
    const session = { id: '0a', ranks: 2, worlds: [], kernel: 1, notebook: '', orphaned: false, held: true };
    const resources = { sessions: [session], slurm: { present: false, problem: '', jobs: [] }, processors: 2 };
    server.listener?.({ data: { ...resources, held: [held('0a', 'ready'), held('0b', 'waiting')] } });
    expect(server.model.held('0a')?.state).toBe('ready');
    expect(server.model.asked.map(each => each.session)).toEqual(['0b']);
  });

  it('has a kernel add and release ranks', async () => {
    const server = await begun({ place: 'local', ranks: 3 });
    const path = '/mpidist/api/resources/sessions/{id}/';
    for (const what of ['add', 'release', 'withdraw', 'files']) {
      server.answers[path + what] = { words: what };
    }
    await server.model.add('0a');
    expect(server.model.words).toBe('add');
    await server.model.release('0a', 'w');
    await server.model.withdraw('0a', 'r');
    await server.model.files('0a', 'pull');
    expect(server.asked.slice(-4).map(each => each[2])).toEqual([
      { id: '0a', place: 'local', ranks: 3, form: EMPTY },
      { id: '0a', world: 'w' },
      { id: '0a', request: 'r' },
      { id: '0a', act: 'pull' }
    ]);
  });

  it('fills the form in from a preset', async () => {
    const server = await begun({ place: 'slurm', form: { ...EMPTY, nodes: 3, account: 'mine' } });
    server.model.choices = { ...CHOICES, presets: [{ name: 'short', hint: '', form: { time: '30', modules: 'gcc' } }] };
    server.model.usePreset('no such');
    expect(server.model.form.nodes).toBe(3);
    server.model.usePreset('short');
    expect(server.model.form).toEqual({ ...EMPTY, time: '30', modules: 'gcc' });
  });

  it('asks about sizes that the partition has', async () => {
    const server = await begun({ place: 'slurm', form: { ...EMPTY, nodes: 3 } });
    server.answers['/mpidist/api/resources/estimate'] = { offers: [] };
    await server.model.estimate();
    expect(server.asked[server.asked.length - 1][2]).toMatchObject({ nodes: [1, 3] });
    expect(server.model.estimating).toBe(false);
  });

  it('says what the server refuses', async () => {
    const server = await begun();
    server.answers['/mpidist/api/resources/jobs/{id}'] = new Refused('job 7 is none of yours', 404);
    await server.model.cancelJob('7');
    expect(server.model.words).toBe('job 7 is none of yours');
    expect(server.asked[server.asked.length - 1]).toEqual(['delete', '/mpidist/api/resources/jobs/{id}', { id: '7' }]);
  });
});

describe('bytes', () => {
  it('have two digits at least', () => {
    expect([0, 1200, 3.4e6, 340e6, 1.25e9, 64e9].map(bytes)).toEqual(['0 B', '1.2 kB', '3.4 MB', '340 MB', '1.3 GB', '64 GB']);
  });
});

describe('times', () => {
  it('are told in two units at most', () => {
    expect([0, 59, 60, 3600, 7500, 86400, 100000].map(duration)).toEqual(['0 s', '59 s', '1 min', '1 h', '2 h 5 min', '1 d', '1 d 3 h']);
  });

  it('are a part of what a job has', () => {
    const world = { place: '', ranks: 1, started: 100, job: '1', words: '', ends: 200 };
    expect([50, 150, 250].map(now => spent(world, now))).toEqual([0, 0.5, 1]);
    expect(spent({ ...world, ends: null }, 150)).toBeNull();
  });
});
