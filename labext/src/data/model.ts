/** One data file: its objects, the columns of a tree, and a column at a glance. No DOM here. */
import { ISignal, Signal } from '@lumino/signaling';

import { IApi, Refused, Wire } from '../asking';

/** What is asked of the server. */
export type Asked = 'contents' | 'columns' | 'glance' | 'page';

/** Milliseconds after the last letter before the server is asked for columns. */
export const CALM = 250;

/** Milliseconds between looks at a file of results, which a run elsewhere may be writing anew. */
export const AGAIN = 5000;
const RESULTS = 'results of mpidist';

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
  /** Saved results, as HTML; null for other files. */
  page: string | null = null;
  /** What went wrong last. */
  problem = '';
  /** Groups whose objects are not shown. */
  readonly closed = new Set<string>();

  private readonly _changed = new Signal<this, void>(this);
  private readonly asked = new Map<Asked, AbortController>();
  private begun = false;
  private seen = false;
  private waits = false;

  constructor(
    readonly path: string,
    private readonly api: IApi,
    private readonly visible: () => boolean = () => true,
    private readonly later: (act: () => void, milliseconds: number) => void = (act, ms) => void setTimeout(act, ms)
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Whether something is asked for at present. */
  busy(what: Asked): boolean {
    return this.asked.has(what);
  }

  /** It asks for nothing before it is seen; afterwards, by itself and while it is seen, only whether saved results have changed. */
  get active(): boolean {
    return this.seen;
  }

  set active(active: boolean) {
    this.seen = active;
    if (active && !this.begun) {
      this.begun = true;
      void this.load();
    } else if (active) {
      this.watch();
    }
  }

  /** Look again from time to time. */
  private watch(): void {
    if (this.waits || !this.seen || this.contents?.format !== RESULTS || !this.contents.stamp) {
      return;
    }
    this.waits = true;
    this.later(() => {
      this.waits = false;
      if (this.seen && this.visible() && !this.busy('contents') && !this.busy('page')) {
        void this.lookAgain().then(() => this.watch());
      } else {
        this.watch();
      }
    }, AGAIN);
  }

  private async lookAgain(): Promise<void> {
    const before = this.contents?.stamp;
    try {
      const contents = await this.api.ask('post', '/mpidist/api/data/contents', { body: { path: this.path } });
      if (contents.stamp !== before) {
        await this.load();
      }
    } catch {
      // It may be about to be written anew; what is shown stays.
    }
  }

  /** Look into the file, as it is now, and into the tree that was looked into, or the first one. */
  async load(): Promise<void> {
    this.drop('columns', 'glance', 'page');
    const body = { path: this.path };
    const loaded = await this.attempt(
      'contents',
      signal => this.api.ask('post', '/mpidist/api/data/contents', { body, signal }),
      contents => (this.contents = contents)
    );
    if (!loaded) {
      return;
    }
    if (this.contents?.format === RESULTS) {
      await this.attempt(
        'page',
        signal => this.api.ask('post', '/mpidist/api/data/page', { body, signal }),
        page => (this.page = page.html)
      );
      this.watch();
      return;
    }
    this.page = null;
    const trees = this.contents?.objects.filter(each => each.tree).map(each => each.name) ?? [];
    const tree = this.tree !== null && trees.includes(this.tree) ? this.tree : trees[0];
    if (tree !== undefined) {
      await this.choose(tree);
    }
  }

  /** Show the columns of a tree. */
  async choose(tree: string): Promise<void> {
    if (tree !== this.tree) {
      this.find = '';
    }
    this.tree = tree;
    this.drop('glance');
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
    await this.attempt(
      'columns',
      signal => this.api.ask('post', '/mpidist/api/data/columns', { body, signal }),
      found => {
        this.columns = start ? [...this.columns, ...found.columns] : found.columns;
        [this.total, this.entries] = [found.total, found.entries];
      }
    );
  }

  /** Look at the first values of a column. */
  async look(column: Wire['Column']): Promise<void> {
    this.column = column;
    this.glance = null;
    const body = { path: this.path, tree: this.tree ?? '', access: column.access };
    await this.attempt(
      'glance',
      signal => this.api.ask('post', '/mpidist/api/data/glance', { body, signal }),
      glance => (this.glance = glance)
    );
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

  /** Its tab is closed: nobody waits for an answer. */
  stop(): void {
    this.seen = false;
    this.drop('contents', 'columns', 'glance', 'page');
  }

  private drop(...what: Asked[]): void {
    for (const each of what) {
      this.asked.get(each)?.abort();
      this.asked.delete(each);
    }
  }

  /** Ask; of several questions of a kind only the newest is answered, and the server need not go on with others. Whether there was an answer. */
  private async attempt<A>(what: Asked, ask: (signal: AbortSignal) => Promise<A>, take: (answer: A) => void): Promise<boolean> {
    this.drop(what);
    const own = new AbortController();
    this.asked.set(what, own);
    this.problem = '';
    this._changed.emit();
    let problem = '';
    let answer: { is: A } | null = null;
    try {
      answer = { is: await ask(own.signal) };
    } catch (error) {
      problem = error instanceof Refused ? error.message : String(error);
    }
    if (this.asked.get(what) !== own) {
      return false;
    }
    this.asked.delete(what);
    if (answer) {
      take(answer.is);
    } else {
      this.problem = problem;
    }
    this._changed.emit();
    return answer !== null;
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
