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

  private piece = FIRST;
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
    for (const { name, file } of files) {
      const path = folder ? `${folder}/${name}` : name;
      this.items = this.items.filter(each => each.path !== path || each.state === 'sends' || each.state === 'retries');
      if (!this.items.some(each => each.path === path)) {
        const item: IUpload = {
          path, size: file.size, done: 0, state: 'waits', words: '', file, replace: false, id: '', stop: new AbortController()
        };
        this.items.push(item);
      }
    }
    this.next();
  }

  /** Let a file go no further for now. */
  pause(item: IItem): void {
    this.halt(item, 'paused');
  }

  /** Go on with a file that was paused or failed. */
  resume(item: IItem): void {
    this.again(item, false);
  }

  /** Let it take the place of the file that is there. */
  replace(item: IItem): void {
    this.again(item, true);
  }

  private again(item: IItem, replace: boolean): void {
    const upload = item as IUpload;
    upload.replace ||= replace;
    upload.stop = new AbortController();
    upload.state = 'waits';
    upload.words = '';
    this.next();
  }

  /** Send it not, and forget what has come of it. */
  async cancel(item: IItem): Promise<void> {
    this.halt(item, 'paused');
    this.items = this.items.filter(each => each !== item);
    await this.discard((item as IUpload).id);
  }

  /** Forget what has come of a file. */
  async discard(id: string): Promise<void> {
    if (id) {
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
    const found = await this.api.ask('get', '/mpidist/api/uploads').catch(() => null);
    this.unfinished = found?.uploads.filter(each => !this.items.some(item => item.path === each.path)) ?? [];
    this._changed.emit();
  }

  private halt(item: IItem, state: State): void {
    const upload = item as IUpload;
    upload.state = state;
    upload.stop.abort();
    this.next();
  }

  /** Begin with the files that are next, and tell. */
  private next(): void {
    const under = () => this.items.filter(each => each.state === 'sends' || each.state === 'retries').length;
    for (const item of this.items) {
      if (item.state === 'waits' && under() < TOGETHER) {
        item.state = 'sends';
        void this.send(item as IUpload);
      }
    }
    if (under() && !this.busy) {
      this.busy = this.surroundings.busy();
    } else if (!under()) {
      this.busy?.dispose();
      this.busy = null;
    }
    this.unfinished = this.unfinished.filter(each => !this.items.some(item => item.path === each.path));
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
        if (!(error instanceof Refused) || !temporary(error.status)) {
          item.state = 'failed';
          item.words = error instanceof Error ? error.message : String(error);
          break;
        }
        item.state = 'retries';
        item.words = error.message;
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
    let told = await this.api.ask('post', '/mpidist/api/uploads', { body: { path, size, modified, replace }, signal });
    item.id = told.id;
    for (;;) {
      if (signal.aborted) {
        return;
      }
      item.state = told.state === 'part' ? 'sends' : told.state;
      item.done = told.done;
      item.words = '';
      this._changed.emit();
      if (told.state !== 'part') {
        break;
      }
      const began = this.surroundings.now();
      const content = item.file.slice(told.done, Math.min(told.done + this.piece, size));
      told = await this.api.ask('put', '/mpidist/api/uploads/{id}', { places: { id: told.id }, query: { offset: told.done }, content, signal });
      this.adapt(this.surroundings.now() - began);
    }
    if (item.state === 'done') {
      this.surroundings.came(path);
    }
  }

  private adapt(took: number): void {
    if (took < QUICK) {
      this.piece = Math.min(2 * this.piece, MOST);
    } else if (took > SLOW) {
      this.piece = Math.max(this.piece / 2, LEAST);
    }
  }
}

/** Whether the server, or a proxy before it, is away for a while; also: it has forgotten the upload, and is told anew. */
function temporary(status: number): boolean {
  return status === 0 || status === 404 || status === 408 || status === 429 || (status >= 500 && status !== 507);
}
