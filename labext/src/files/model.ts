/** The section "Files": the project folder, and uploads to it. No DOM here. */
import { ISignal, Signal } from '@lumino/signaling';

import type { IFound } from './dropped';
import type { Project } from './project';
import type { Uploads } from './uploads';

export class FilesModel {
  /** How many files were left out last, because they are hidden. */
  hidden = 0;
  /** What could not be read of what was dropped last. */
  unread: readonly string[] = [];
  private _active = false;
  private readonly _changed = new Signal<this, void>(this);

  constructor(
    readonly project: Project,
    readonly uploads: Uploads,
    private readonly current: () => string
  ) {
    project.changed.connect(() => this._changed.emit());
    uploads.changed.connect(() => this._changed.emit());
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get active(): boolean {
    return this._active;
  }

  set active(active: boolean) {
    if (active && !this._active) {
      void this.uploads.look();
    }
    this._active = this.uploads.seen = active;
  }

  /** Where files go: the project folder, else the one that the file browser shows. */
  get target(): string {
    return this.project.folder ?? this.current();
  }

  /** The file browser shows another folder. */
  moved(): void {
    this._changed.emit();
  }

  /** Send what was dropped or chosen. */
  send(found: IFound, target = this.target): void {
    this.hidden = found.hidden;
    this.unread = found.unread;
    this.uploads.add(target, found.files);
  }
}

/** Bytes and files of uploads together. */
export function together(items: readonly { size: number; done: number; state: string }[]): { files: number; came: number; size: number; done: number } {
  const sum = { files: items.length, came: 0, size: 0, done: 0 };
  for (const item of items) {
    sum.came += Number(item.state === 'done');
    sum.size += item.size;
    sum.done += item.done;
  }
  return sum;
}
