/** The project folder: chosen once, kept in step with the ranks of sessions, and where uploads go. No DOM here. */
import { ISignal, Signal } from '@lumino/signaling';

import type { IProject } from '../tokens';

export interface IProjectMemory {
  load(): Promise<string | null>;
  save(folder: string | null): void;
}

export class Project implements IProject {
  private _folder: string | null = null;
  private chosen = false;
  private readonly _changed = new Signal<this, void>(this);

  constructor(private readonly memory: IProjectMemory) {
    void this.memory
      .load()
      .catch(() => null)
      .then(folder => {
        if (!this.chosen) {
          this._folder = folder;
          this._changed.emit();
        }
      });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get folder(): string | null {
    return this._folder;
  }

  /** Choose a folder, as JupyterLab names it ("" for all that it shows), or none. */
  choose(folder: string | null): void {
    this.chosen = true;
    this._folder = folder;
    this.memory.save(folder);
    this._changed.emit();
  }
}
