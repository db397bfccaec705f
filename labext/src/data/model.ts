/** One data file: its objects, the columns of a tree, and a column at a glance. No DOM here. */
import { ISignal, Signal } from '@lumino/signaling';

import { IApi, Refused, Wire } from '../asking';

/** Milliseconds after the last letter before the server is asked for columns. */
export const CALM = 250;

export class DataModel {
  contents: Wire['Contents'] | null = null;
  /** The tree whose columns are shown; null for none. */
  tree: string | null = null;
  entries = 0;
  columns: readonly Wire['Column'][] = [];
  /** How many there are, of which some may not be here yet. */
  total = 0;
  find = '';
  column: Wire['Column'] | null = null;
  glance: Wire['Glance'] | null = null;
  /** What is asked for at present, "" for nothing. */
  busy: '' | 'contents' | 'columns' | 'glance' = '';
  /** What went wrong last. */
  problem = '';
  /** Groups whose objects are not shown. */
  readonly closed = new Set<string>();

  private readonly _changed = new Signal<this, void>(this);
  private asked = 0;
  private begun = false;

  constructor(
    readonly path: string,
    private readonly api: IApi,
    private readonly later: (act: () => void, milliseconds: number) => void = (act, ms) => void setTimeout(act, ms)
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** It asks for nothing before it is seen, and for nothing by itself afterwards. */
  get active(): boolean {
    return this.begun;
  }

  set active(active: boolean) {
    if (active && !this.begun) {
      this.begun = true;
      void this.load();
    }
  }

  /** Look into the file, as it is now, and into the tree that was looked into, or the first one. */
  async load(): Promise<void> {
    await this.attempt('contents', async current => {
      const contents = await this.api.ask('post', '/mpidist/api/data/contents', { body: { path: this.path } });
      if (current()) {
        this.contents = contents;
      }
    });
    const trees = this.contents?.objects.filter(each => each.tree).map(each => each.name) ?? [];
    const tree = this.tree !== null && trees.includes(this.tree) ? this.tree : trees[0];
    if (tree !== undefined && !this.problem) {
      await this.choose(tree);
    }
  }

  /** Show the columns of a tree. */
  async choose(tree: string): Promise<void> {
    if (tree !== this.tree) {
      this.find = '';
    }
    this.tree = tree;
    this.column = this.glance = null;
    await this.ask(0);
  }

  /** Show the columns that contain some text, once it is complete. */
  search(find: string): void {
    this.find = find;
    this._changed.emit();
    this.later(() => {
      if (this.find === find) {
        void this.ask(0);
      }
    }, CALM);
  }

  /** Show more of the columns. */
  async more(): Promise<void> {
    await this.ask(this.columns.length);
  }

  private async ask(start: number): Promise<void> {
    const body = { path: this.path, tree: this.tree ?? '', find: this.find, start };
    await this.attempt('columns', async current => {
      const found = await this.api.ask('post', '/mpidist/api/data/columns', { body });
      if (current()) {
        this.columns = start ? [...this.columns, ...found.columns] : found.columns;
        [this.total, this.entries] = [found.total, found.entries];
      }
    });
  }

  /** Look at the first values of a column. */
  async look(column: Wire['Column']): Promise<void> {
    this.column = column;
    this.glance = null;
    const body = { path: this.path, tree: this.tree ?? '', access: column.access };
    await this.attempt('glance', async current => {
      const glance = await this.api.ask('post', '/mpidist/api/data/glance', { body });
      if (current()) {
        this.glance = glance;
      }
    });
  }

  /** Show or hide what is in a group. */
  fold(name: string): void {
    if (!this.closed.delete(name)) {
      this.closed.add(name);
    }
    this._changed.emit();
  }

  /** The objects that are not in a group that is closed, each with how deep it is. */
  get shown(): readonly Placed[] {
    return placed(this.contents?.objects ?? []).filter(each => !each.within.some(name => this.closed.has(name)));
  }

  /** Of several questions only the newest is answered. */
  private async attempt(what: 'contents' | 'columns' | 'glance', act: (current: () => boolean) => Promise<void>): Promise<void> {
    const number = ++this.asked;
    const current = () => number === this.asked;
    this.busy = what;
    this.problem = '';
    this._changed.emit();
    try {
      await act(current);
    } catch (error) {
      if (current()) {
        this.problem = error instanceof Refused ? error.message : String(error);
      }
    }
    if (current()) {
      this.busy = '';
      this._changed.emit();
    }
  }
}

/** An object of a file with the groups that it is in, from the outermost on, and whether others are in it. */
export interface Placed {
  object: Wire['DataObject'];
  label: string;
  within: readonly string[];
  group: boolean;
}

/** Objects in the order of their names, each below its group. */
export function placed(objects: readonly Wire['DataObject'][]): Placed[] {
  const names = new Set(objects.map(each => each.name));
  const sorted = [...objects].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const parents = new Set<string>();
  const made = sorted.map(object => {
    const parts = object.name.split('/');
    const within = parts.slice(0, -1).map((_, at) => parts.slice(0, at + 1).join('/'));
    const known = within.filter(name => names.has(name));
    known.forEach(name => parents.add(name));
    const label = known.length ? object.name.slice(known[known.length - 1].length + 1) : object.name;
    return { object, label, within: known };
  });
  return made.map(each => ({ ...each, group: parents.has(each.object.name) }));
}
