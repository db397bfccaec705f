import { describe, expect, it } from 'vitest';

import { IApi, Refused } from '../asking';
import type { IEvents, Listener } from '../events';
import { acts, count, outline, RunsModel } from './model';

class Server implements IApi, IEvents {
  answer: unknown = { words: 'run x pauses' };
  asked: unknown[] = [];
  listener: Listener | null = null;
  async ask(_: string, __: string, options: { body?: unknown } = {}): Promise<never> {
    this.asked.push(options.body);
    if (this.answer instanceof Error) {
      throw this.answer;
    }
    return this.answer as never;
  }
  watch(_: string, listener: Listener) {
    this.listener = listener;
    return { isDisposed: false, dispose: () => void (this.listener = null) };
  }
}

describe('RunsModel', () => {
  it('watches only while it is seen, and keeps what it knew when the connection breaks', () => {
    const server = new Server();
    const model = new RunsModel(server, server);
    model.active = true;
    server.listener?.({ data: { kernels: [{ pid: 1, notebook: 'a.ipynb', problem: '', runs: [] }] } });
    server.listener?.({ error: '' });
    expect(model.kernels).toHaveLength(1);
    expect(model.problem).toMatch('interrupted');
    model.active = false;
    expect(server.listener).toBeNull();
  });

  it('forgets, and says what came of it', async () => {
    const server = new Server();
    const model = new RunsModel(server, server);
    server.answer = { words: 'run x is not listed any more' };
    await model.forget('x');
    expect(model.words).toBe('run x is not listed any more');
    server.answer = new Refused('there is no run x', 404);
    await model.forget('x');
    expect(model.words).toBe('there is no run x');
  });

  it('steers, and says what came of it', async () => {
    const server = new Server();
    const model = new RunsModel(server, server);
    await model.act(7, 'x', 'pause');
    expect(server.asked).toEqual([{ pid: 7, run: 'x', act: 'pause' }]);
    expect(model.words).toBe('run x pauses');
    server.answer = new Refused('run x has ended (done)', 409);
    await model.act(7, 'x', 'stop');
    expect(model.words).toBe('run x has ended (done)');
  });
});

describe('a run', () => {
  it('offers what its state allows', () => {
    expect([acts('running'), acts('paused'), acts('done')]).toEqual([['pause', 'stop'], ['resume', 'stop'], []]);
  });

  it('has short numbers', () => {
    expect([0, 7, 999, 1000, 1234, 99600, 34e6, 5e9].map(count)).toEqual(['0', '7', '999', '1 k', '1.2 k', '100 k', '34 M', '5 G']);
  });

  it('has a sparkline of its bins', () => {
    expect(outline([], 10, 4)).toBe('');
    expect(outline([1, 0.5], 10, 4)).toBe('M0,4L0.0,0.0L5.0,0.0L5.0,2.0L10.0,2.0L10,4Z');
  });
});
