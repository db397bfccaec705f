/** Names of files that were looked into, for the section of the panel. */
import { ISignal, Signal } from '@lumino/signaling';

/** How many are remembered. */
export const KEPT = 8;

export interface INames {
  load(): Promise<readonly string[]>;
  save(names: readonly string[]): void;
}

export class NamesModel {
  active = false;
  typed = '';
  recent: readonly string[] = [];
  private readonly _changed = new Signal<this, void>(this);

  constructor(
    private readonly memory: INames,
    private readonly show: (path: string) => void
  ) {
    void this.memory.load().then(names => {
      this.recent = names;
      this._changed.emit();
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  type(text: string): void {
    this.typed = text;
    this._changed.emit();
  }

  /** Look into what was typed, or into another file. */
  open(path: string = this.typed): void {
    const name = path.trim();
    if (name) {
      this.note(name);
      this.show(name);
    }
  }

  /** A file was opened. */
  note(path: string): void {
    this.recent = [path, ...this.recent.filter(each => each !== path)].slice(0, KEPT);
    this.memory.save(this.recent);
    this._changed.emit();
  }
}
