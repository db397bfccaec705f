/**
 * Files on their way to the server, in pieces. No DOM here.
 *
 * The server knows how much of a file has come: it is asked before the first piece, and again after whatever went wrong. So an interruption costs one
 * piece, also one by a restart of the server or of the browser (the same file must then be chosen again, for pages cannot open files by themselves).
 */
import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IApi, Refused, Wire } from '../asking';

/** What is needed of the browser's `File`. */
export interface IFile {
  readonly size: number;
  readonly lastModified: number;
  slice(start: number, end: number): Blob;
}

/** A file, and its name from the chosen or dropped folder on. */
export interface INamed {
  readonly name: string;
  readonly file: IFile;
}

/**
 * "waits" for others, "sends", "retries" as soon as the server answers, was "paused"; "exists": another file of that name is there; "failed" for a reason;
 * "done".
 */
export type State = 'waits' | 'sends' | 'retries' | 'paused' | 'exists' | 'failed' | 'done';

export interface IItem {
  readonly path: string;
  readonly size: number;
  done: number;
  state: State;
  /** Why it failed. */
  words: string;
}

interface IUpload extends IItem {
  readonly file: IFile;
  replace: boolean;
  id: string;
  stop: AbortController;
}

/** Bytes of a piece: so many that it takes neither too long to be lost, nor so short that requests count. */
export const LEAST = 1 << 18;
export const FIRST = 1 << 20;
export const MOST = 1 << 23;
export const QUICK = 400;
export const SLOW = 2000;
/** Sent at the same time: small files take as long as their two requests. */
export const TOGETHER = 3;
/** Milliseconds until the server is tried again. */
export const SHORTEST = 1000;
export const LONGEST = 30000;
/** Milliseconds after which it is looked again whether another page still sends a file. */
export const AGAIN = 10000;

export interface ISurroundings {
  now(): number;
  later(act: () => void, milliseconds: number): void;
  /** Work is under way until what is given is disposed: pages ask before they are closed. */
  busy(): IDisposable;
  /** A file has come. */
  came(path: string): void;
}

export class Uploads {
  items: IItem[] = [];
  /** Files of which the server has a part, and that nobody sends. */
  unfinished: readonly Wire['Upload'][] = [];

  /** Whether somebody looks at it. */
  seen = false;

  private piece = FIRST;
  private most = MOST;
  private looks = 0;
  private busy: IDisposable | null = null;
  private readonly _changed = new Signal<this, void>(this);

  constructor(
    private readonly api: IApi,
    private readonly surroundings: ISurroundings
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Send files to a folder of the server's. One that is on its way already goes on. */
  add(folder: string, files: readonly INamed[]): void {
    const items = new Map(this.items.map(each => [each.path, each])); // a folder may have many thousands
    const former: string[] = [];
    for (const { name, file } of files) {
      const path = folder ? `${folder}/${name}` : name;
      const before = items.get(path) as IUpload | undefined;
      const same = before !== undefined && isSame(before.file, file);
      if (!same || !moves(before)) {
        if (before && !same) {
          before.stop.abort();
          former.push(before.state === 'done' ? '' : before.id);
        }
        const item: IUpload = {
          path,
          size: file.size,
          done: 0,
          state: 'waits',
          words: '',
          file,
          replace: false,
          id: '',
          stop: new AbortController()
        };
        items.delete(path);
        items.set(path, item);
      }
    }
    this.items = [...items.values()];
    this.next();
    if (former.length) {
      void this.discard(...former);
    }
  }

  /** Let files go no further for now. */
  pause(...items: readonly IItem[]): void {
    for (const item of items.filter(each => each.state === 'waits' || moves(each))) {
      item.state = 'paused';
      (item as IUpload).stop.abort();
    }
    this.next();
  }

  /** Go on with files that were paused or failed. */
  resume(...items: readonly IItem[]): void {
    for (const item of items.filter(each => each.state === 'paused' || each.state === 'failed')) {
      this.again(item as IUpload);
    }
    this.next();
  }

  /** Let it take the place of the file that is there. */
  replace(item: IItem): void {
    (item as IUpload).replace = true;
    this.again(item as IUpload);
    this.next();
  }

  private again(item: IUpload): void {
    item.stop = new AbortController();
    item.state = 'waits';
    item.words = '';
  }

  /** Send files not, and forget what has come of them. */
  async cancel(...items: readonly IItem[]): Promise<void> {
    const gone = new Set(items.filter(each => each.state !== 'done'));
    this.pause(...gone);
    this.items = this.items.filter(each => !gone.has(each));
    await this.discard(...[...gone].map(each => (each as IUpload).id));
  }

  /** Forget what has come of files. */
  async discard(...ids: readonly string[]): Promise<void> {
    for (const id of ids.filter(each => each)) {
      await this.api.ask('delete', '/mpidist/api/uploads/{id}', { places: { id } }).catch(() => undefined); // it has come, or has gone
    }
    await this.look();
  }

  /** Show no more of those that have come. */
  clear(): void {
    this.items = this.items.filter(each => each.state !== 'done');
    this._changed.emit();
  }

  /** Ask for files of which a part has come. */
  async look(): Promise<void> {
    const look = ++this.looks;
    const found = await this.api.ask('get', '/mpidist/api/uploads').catch(() => null);
    if (look !== this.looks) {
      return;
    }
    this.unfinished = this.others(found?.uploads ?? []);
    this._changed.emit();
    if (this.unfinished.some(each => each.moving)) {
      this.surroundings.later(() => void (this.seen && look === this.looks && this.look()), AGAIN);
    }
  }

  /** Those that are none of ours. */
  private others(uploads: readonly Wire['Upload'][]): readonly Wire['Upload'][] {
    const ours = new Set(this.items.flatMap(each => [each.path, (each as IUpload).id])); // by id: the server resolves links
    return uploads.filter(each => !ours.has(each.path) && !ours.has(each.id));
  }

  /** Begin with the files that are next, and tell. */
  private next(): void {
    let under = this.items.filter(moves).length;
    for (const item of this.items) {
      if (under >= TOGETHER) {
        break;
      }
      if (item.state === 'waits') {
        item.state = 'sends';
        under += 1;
        void this.send(item as IUpload);
      }
    }
    if (under && !this.busy) {
      this.busy = this.surroundings.busy();
    } else if (!under) {
      this.busy?.dispose();
      this.busy = null;
    }
    if (this.unfinished.length) {
      this.unfinished = this.others(this.unfinished);
    }
    this._changed.emit();
  }

  private async send(item: IUpload): Promise<void> {
    const { signal } = item.stop;
    for (let pause = SHORTEST; !signal.aborted; pause = Math.min(2 * pause, LONGEST)) {
      const before = item.done;
      try {
        await this.pieces(item, signal);
        break;
      } catch (error) {
        if (signal.aborted) {
          break;
        }
        if (error instanceof Refused && error.status === 413 && this.piece > LEAST) {
          this.most = Math.max(this.piece / 2, LEAST); // a proxy takes no larger ones
          this.piece = this.most;
          continue;
        }
        this.piece = Math.max(this.piece / 2, LEAST);
        if (!(error instanceof Refused) || !temporary(error.status)) {
          item.state = 'failed';
          item.words = error instanceof Error ? error.message : String(error);
          break;
        }
        item.state = 'retries';
        item.words = error.status === 404 ? 'What had come of it was removed.' : error.message;
        this._changed.emit();
        pause = item.done > before ? SHORTEST : pause;
        await new Promise<void>(go => this.surroundings.later(go, pause));
      }
    }
    this.next();
  }

  /** All pieces that the server does not have. */
  private async pieces(item: IUpload, signal: AbortSignal): Promise<void> {
    const { path, size, replace } = item;
    const modified = Math.max(0, item.file.lastModified);
    // Not ended by the signal: what the server has begun must be known, to be forgotten.
    let told = await this.api.ask('post', '/mpidist/api/uploads', { body: { path, size, modified, replace } });
    item.id = told.id;
    for (;;) {
      if (signal.aborted) {
        if (told.state === 'part' && !this.items.some(each => each.path === path && isSame((each as IUpload).file, item.file))) {
          await this.discard(told.id); // it was cancelled meanwhile, or there is another version
        }
        return;
      }
      item.state = told.state === 'part' ? 'sends' : told.state;
      item.done = told.done;
      item.words = '';
      this._changed.emit();
      if (told.state !== 'part') {
        break;
      }
      const end = Math.min(told.done + this.piece, size);
      const content = await read(item.file, told.done, end);
      const began = this.surroundings.now();
      told = await this.api.ask('put', '/mpidist/api/uploads/{id}', { places: { id: told.id }, query: { offset: told.done }, content, signal });
      this.adapt(this.surroundings.now() - began);
    }
    if (item.state === 'done') {
      this.surroundings.came(path);
    }
  }

  private adapt(took: number): void {
    if (took < QUICK) {
      this.piece = Math.min(2 * this.piece, this.most);
    } else if (took > SLOW) {
      this.piece = Math.max(this.piece / 2, LEAST);
    }
  }
}

/** Bytes of a file. A request would fail as if the server was away if the file has changed or gone since it was chosen. */
async function read(file: IFile, start: number, end: number): Promise<Blob> {
  const bytes = await file
    .slice(start, end)
    .arrayBuffer()
    .catch(() => null);
  if (bytes?.byteLength !== end - start) {
    throw new Error('The file has changed since it was chosen, or cannot be read any more. Hint: drop or choose it again.');
  }
  return new Blob([bytes]);
}

/** Whether the server takes them for the same file, if their paths are the same. */
function isSame(one: IFile, other: IFile): boolean {
  return one.size === other.size && one.lastModified === other.lastModified;
}

/** Whether it is on its way now. */
function moves(item: IItem): boolean {
  return item.state === 'sends' || item.state === 'retries';
}

/** Whether the server, or a proxy before it, is away for a while; also: it has forgotten the upload, and is told anew. */
function temporary(status: number): boolean {
  return status === 0 || status === 404 || status === 408 || status === 429 || (status >= 500 && status !== 507);
}
