import { expect, test } from 'vitest';

import { IApi, Refused } from '../asking';
import { FIRST, IFile, INamed, LEAST, LONGEST, SHORTEST, TOGETHER, Uploads } from './uploads';
import { together } from './model';

interface ITaken {
  path: string;
  size: number;
  modified: number;
  bytes: number;
  replace?: boolean;
}

/** What the server does: it keeps parts by id, and takes a piece only where the last one ended. */
class Server {
  parts = new Map<string, ITaken>();
  there = new Set<string>();
  pieces: [number, number][] = [];
  /** What goes wrong next. */
  faults: (Refused | null)[] = [];
  moving = false;
  private gate: Promise<void> = Promise.resolve();
  private open: () => void = () => undefined;

  hold(): void {
    this.gate = new Promise(open => (this.open = open));
  }

  release(): void {
    this.open();
  }

  readonly ask: IApi['ask'] = (async (method: string, path: string, options: any = {}) => {
    await this.gate;
    const fault = this.faults.shift();
    if (fault) {
      throw fault;
    }
    if (options.signal?.aborted) {
      throw new Refused('The Jupyter server does not answer.', 0);
    }
    if (method === 'get') {
      return { uploads: [...this.parts].map(([id, part]) => this.told(id, part)) };
    }
    if (method === 'delete') {
      this.parts.delete(options.places.id);
      return { words: '' };
    }
    if (method === 'post') {
      const id = `${options.body.path} ${options.body.size} ${options.body.modified}`;
      const part = this.parts.get(id) ?? { bytes: 0, ...options.body };
      part.replace = options.body.replace;
      this.parts.set(id, part);
      return this.told(id, part);
    }
    const part = this.parts.get(options.places.id);
    if (!part) {
      throw new Refused('this upload is not known any more', 404);
    }
    if (options.query.offset === part.bytes) {
      this.pieces.push([part.bytes, options.content.size]);
      part.bytes += options.content.size;
    }
    return this.told(options.places.id, part);
  }) as IApi['ask'];

  private told(id: string, part: ITaken): unknown {
    const exists = this.there.has(part.path) && !part.replace;
    const state = exists ? 'exists' : part.bytes === part.size ? 'done' : 'part';
    if (state === 'done') {
      this.parts.delete(id);
    }
    return { id, path: part.path, size: part.size, modified: part.modified, done: part.bytes, state, moving: this.moving };
  }
}

function file(size: number, lastModified = 5): IFile {
  return { size, lastModified, slice: (start, end) => new Blob([new Uint8Array(Math.max(0, Math.min(end, size) - start))]) };
}

function named(name: string, size: number): INamed {
  return { name, file: file(size) };
}

function made(server = new Server()) {
  const seen = { busy: 0, came: [] as string[], waits: [] as [() => void, number][], now: 0, took: 1000 };
  const uploads = new Uploads(
    { ask: server.ask },
    {
      now: () => (seen.now += seen.took),
      later: (act, milliseconds) => void seen.waits.push([act, milliseconds]),
      busy: () => {
        seen.busy += 1;
        return { isDisposed: false, dispose: () => void (seen.busy -= 1) };
      },
      came: path => void seen.came.push(path)
    }
  );
  return { server, uploads, seen };
}

const settled = () => new Promise(done => setTimeout(done, 5));
const states = (uploads: Uploads) => uploads.items.map(each => `${each.path} ${each.state} ${each.done}`);

test('a file goes in pieces, the rest in the last one', async () => {
  const { server, uploads, seen } = made();
  uploads.add('work', [named('a.root', 2 * FIRST + 5)]);
  expect(seen.busy).toBe(1);
  await settled();
  expect(states(uploads)).toEqual([`work/a.root done ${2 * FIRST + 5}`]);
  expect(server.pieces).toEqual([
    [0, FIRST],
    [FIRST, FIRST],
    [2 * FIRST, 5]
  ]);
  expect(seen).toMatchObject({ busy: 0, came: ['work/a.root'] });
});

test('pieces grow while they are quick, and shrink when they take long', async () => {
  const { server, uploads, seen } = made();
  seen.took = 10;
  uploads.add('', [named('quick', 7 * FIRST)]);
  await settled();
  expect(server.pieces.map(([, size]) => size / FIRST)).toEqual([1, 2, 4]);
  seen.took = 3000;
  server.pieces = [];
  uploads.add('', [named('slow', 8 * FIRST)]);
  await settled();
  expect(server.pieces.map(([, size]) => size / FIRST)).toEqual([8]);
  server.pieces = [];
  uploads.add('', [named('slower', 8 * FIRST)]);
  await settled();
  expect(server.pieces.map(([, size]) => size / FIRST)).toEqual([4, 2, 1, 0.5, 0.25, 0.25]);
});

test.each([0, 404, 502, 504])('after a failure (%i) it goes on by itself with what is missing', async status => {
  const { server, uploads, seen } = made();
  server.faults = [null, null, new Refused('away', status), new Refused('away', status), new Refused('away', status)];
  uploads.add('', [named('a', 3 * FIRST)]);
  await settled();
  expect(states(uploads)).toEqual([`a retries ${FIRST}`]);
  expect(uploads.items[0].words).toBe(status === 404 ? 'What had come of it was removed.' : 'away');
  expect(seen.busy).toBe(1);
  for (const pause of [SHORTEST, 2 * SHORTEST, 4 * SHORTEST]) {
    expect(seen.waits.map(([, each]) => each)).toEqual([pause]);
    seen.waits.shift()?.[0]();
    await settled();
  }
  expect(states(uploads)).toEqual([`a done ${3 * FIRST}`]);
  // Nothing twice, and in smaller pieces: what failed may have been too much for a slow link.
  expect(server.pieces.slice(0, 3)).toEqual([
    [0, FIRST],
    [FIRST, LEAST],
    [FIRST + LEAST, LEAST]
  ]);
  expect(server.pieces.reduce((sum, [, size]) => sum + size, 0)).toBe(3 * FIRST);
});

test('a proxy that takes small pieces only is given those', async () => {
  const { server, uploads, seen } = made();
  seen.took = 10;
  server.faults = [null, null, new Refused('too large', 413)];
  uploads.add('', [named('a', 5 * FIRST)]);
  await settled();
  expect(server.pieces.map(([, size]) => size / FIRST)).toEqual([1, 1, 1, 1, 1]);
  expect(seen.waits).toEqual([]);
});

test('a file that has changed since it was chosen fails with words', async () => {
  const { uploads, seen } = made();
  const gone: IFile = { ...file(10), slice: () => new Blob([]) };
  const unreadable = { ...file(10), slice: () => ({ arrayBuffer: () => Promise.reject(new Error('NotReadableError')) }) as unknown as Blob };
  uploads.add('', [
    { name: 'gone', file: gone },
    { name: 'unreadable', file: unreadable }
  ]);
  await settled();
  expect(states(uploads)).toEqual(['gone failed 0', 'unreadable failed 0']);
  expect(uploads.items[0].words).toContain('has changed since it was chosen');
  expect(seen).toMatchObject({ busy: 0, waits: [] });
});

test('a newer version takes the place of the one that is under way', async () => {
  const { server, uploads } = made();
  server.hold();
  uploads.add('', [named('a', 10)]);
  uploads.add('', [{ name: 'a', file: file(12, 6) }]);
  server.release();
  await settled();
  expect(states(uploads)).toEqual(['a done 12']);
  expect(server.pieces).toEqual([[0, 12]]);
  server.faults = [null, null, new Refused('away', 0)];
  uploads.add('', [named('b', 3 * FIRST)]);
  await settled();
  expect([...server.parts.values()].map(each => each.bytes)).toEqual([FIRST]);
  uploads.add('', [{ name: 'b', file: file(12, 6) }]);
  await settled();
  expect(states(uploads)).toEqual(['a done 12', 'b done 12']);
  expect(server.parts.size).toBe(0); // nothing is left of the former one
});

test('what is cancelled before the server has answered is forgotten there too', async () => {
  const { server, uploads } = made();
  server.hold();
  uploads.add('', [named('a', 10)]);
  const cancelled = uploads.cancel(...uploads.items);
  server.release();
  await cancelled;
  await settled();
  expect(server.parts.size).toBe(0);
  expect(uploads.unfinished).toEqual([]);
});

test('while another page sends a file it is looked again', async () => {
  const server = new Server();
  server.parts.set('a 10 5', { path: 'a', size: 10, modified: 5, bytes: 4 });
  const { uploads, seen } = made(server);
  uploads.seen = true;
  server.moving = true;
  await uploads.look();
  expect(uploads.unfinished.map(each => each.moving)).toEqual([true]);
  server.moving = false;
  seen.waits.pop()?.[0]();
  await settled();
  expect(uploads.unfinished.map(each => each.moving)).toEqual([false]);
  expect(seen.waits).toEqual([]);
});

test('it is tried for as long as it takes', async () => {
  const { server, uploads, seen } = made();
  server.faults = Array.from({ length: 20 }, () => new Refused('away', 0));
  uploads.add('', [named('a', 10)]);
  await settled();
  let longest = 0;
  while (seen.waits.length) {
    longest = seen.waits[0][1];
    seen.waits.shift()?.[0]();
    await settled();
  }
  expect(longest).toBe(LONGEST);
  expect(states(uploads)).toEqual(['a done 10']);
});

test('a refusal is told, and the user can go on', async () => {
  const { server, uploads, seen } = made();
  server.faults = [null, new Refused('there is no room', 507)];
  uploads.add('', [named('a', 10), named('b', 10)]);
  await settled();
  const failed = uploads.items.find(each => each.state === 'failed');
  expect(failed?.words).toBe('there is no room');
  expect(seen).toMatchObject({ busy: 0, waits: [] });
  uploads.resume(failed!);
  await settled();
  expect(uploads.items.map(each => each.state)).toEqual(['done', 'done']);
});

test('a pause keeps what has come', async () => {
  const { server, uploads, seen } = made();
  let pauses = 1;
  uploads.add('', [named('a', 3 * FIRST)]);
  uploads.changed.connect(() => {
    if (uploads.items[0].done === FIRST && uploads.items[0].state === 'sends' && pauses-- > 0) {
      uploads.pause(uploads.items[0]);
    }
  });
  await settled();
  expect(states(uploads)).toEqual([`a paused ${FIRST}`]);
  expect(seen.busy).toBe(0);
  server.pieces = [];
  uploads.resume(uploads.items[0]);
  await settled();
  expect(server.pieces.map(([start]) => start)).toEqual([FIRST, 2 * FIRST]);
  expect(uploads.items[0].state).toBe('done');
});

test('a file that is there is replaced only when it is said', async () => {
  const { server, uploads } = made();
  server.there.add('a');
  uploads.add('', [named('a', 10)]);
  await settled();
  expect(states(uploads)).toEqual(['a exists 0']);
  uploads.replace(uploads.items[0]);
  await settled();
  expect(states(uploads)).toEqual(['a done 10']);
});

test('cancelling forgets what has come', async () => {
  const { server, uploads } = made();
  server.faults = [null, null, new Refused('away', 0)];
  uploads.add('', [named('a', 3 * FIRST)]);
  await settled();
  expect(server.parts.size).toBe(1);
  await uploads.cancel(uploads.items[0]);
  expect(server.parts.size).toBe(0);
  expect([uploads.items, uploads.unfinished]).toEqual([[], []]);
});

test('all are paused, go on, and are cancelled at once', async () => {
  const { server, uploads, seen } = made();
  server.hold();
  uploads.add(
    '',
    [1, 2, 3, 4, 5].map(each => named(String(each), 10))
  );
  uploads.pause(...uploads.items);
  expect(uploads.items.map(each => each.state)).toEqual(Array(5).fill('paused'));
  expect(seen.busy).toBe(0);
  server.release();
  await settled();
  expect(server.pieces).toEqual([]);
  server.hold();
  uploads.resume(...uploads.items);
  expect(uploads.items.filter(each => each.state === 'sends').length).toBe(TOGETHER);
  server.release();
  await settled();
  expect(uploads.items.map(each => each.state)).toEqual(Array(5).fill('done'));
  server.faults = [null, null, new Refused('away', 0), new Refused('away', 0)];
  uploads.add(
    '',
    [6, 7].map(each => named(String(each), 10))
  );
  await settled();
  await uploads.cancel(...uploads.items);
  expect(uploads.items.map(each => each.path)).toEqual(['1', '2', '3', '4', '5']);
  expect(server.parts.size).toBe(0);
});

test('only some files are sent at the same time', async () => {
  const { server, uploads } = made();
  server.hold();
  uploads.add('', [1, 2, 3, 4, 5].map(each => named(String(each), 10)));
  expect(uploads.items.filter(each => each.state === 'sends').length).toBe(TOGETHER);
  server.release();
  await settled();
  expect(together(uploads.items)).toEqual({ files: 5, came: 5, size: 50, done: 50 });
  uploads.clear();
  expect(uploads.items).toEqual([]);
});

test('a folder of many thousands of files is no trouble', async () => {
  const { uploads, seen } = made();
  const many = Array.from({ length: 5000 }, (_, each) => named(`f${each}`, 1));
  uploads.add('', many);
  uploads.add('', many);
  while (seen.came.length < 5000) {
    await settled();
  }
  expect(together(uploads.items)).toEqual({ files: 5000, came: 5000, size: 5000, done: 5000 });
  expect(seen.busy).toBe(0);
});

test('what another page has left is listed until its file is chosen again', async () => {
  const server = new Server();
  server.parts.set('work/a 10 5', { path: 'work/a', size: 10, modified: 5, bytes: 4 });
  const { uploads } = made(server);
  await uploads.look();
  expect(uploads.unfinished.map(each => [each.path, each.done])).toEqual([['work/a', 4]]);
  uploads.add('work', [named('a', 10)]);
  expect(uploads.unfinished).toEqual([]);
  await settled();
  expect(server.pieces).toEqual([[4, 6]]);
});

test('the same file dropped twice goes once', async () => {
  const { server, uploads } = made();
  server.hold();
  uploads.add('', [named('a', 10)]);
  uploads.add('', [named('a', 10)]);
  server.release();
  await settled();
  expect(server.pieces).toEqual([[0, 10]]);
  uploads.add('', [named('a', 10)]);
  await settled();
  expect(states(uploads)).toEqual(['a done 10']);
});
