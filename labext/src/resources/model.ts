/** Sessions, jobs, and the form for more. No DOM here. */
import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Body, IApi, Refused, Wire } from '../asking';
import type { IEvents, Told } from '../events';

export type Form = Required<Wire['SlurmForm']>;
/** What can be done to a session whose kernel goes on. */
type Act = `/mpidist/api/resources/sessions/{id}/${'add' | 'release' | 'withdraw' | 'files' | 'sync'}`;
export type Place = 'local' | 'slurm';

export const EMPTY: Form = {
  partition: '',
  account: '',
  qos: '',
  nodes: 1,
  ranks_per_node: 1,
  cpus_per_rank: 1,
  time: '',
  mem_per_rank: '',
  cache: '',
  spill: '',
  constraint: '',
  reservation: '',
  modules: '',
  prologue: ''
};

/** What was asked for last, from session to session. */
export interface Remembered {
  place: Place;
  ranks: number;
  form: Form;
}

export interface IMemory {
  load(): Promise<Partial<Remembered>>;
  save(what: Remembered): void;
}

/** Milliseconds after the last change of the form before the server is asked about it. */
export const CALM = 250;

export class ResourcesModel {
  /** Sessions and jobs as the server knows them; null before it has told. */
  resources: Wire['Resources'] | null = null;
  /** Why they are not known, in words; "" if they are. */
  problem = '';
  choices: Wire['Choices'] | null = null;
  place: Place = 'local';
  ranks = 2;
  form: Form = { ...EMPTY };
  script: Wire['Script'] | null = null;
  offers: readonly Wire['Offer'][] | null = null;
  estimating = false;
  /** Whether ranks are being asked for: that takes a second or two. */
  submitting = false;
  /** What was done or refused last. */
  words = '';
  /** The log that is shown, and whose it is. */
  log: { job: string; text: string } | null = null;

  private readonly _changed = new Signal<this, void>(this);
  private watched: IDisposable | null = null;
  private checks = 0;

  constructor(
    private readonly api: IApi,
    private readonly events: IEvents,
    private readonly memory: IMemory,
    private readonly later: (act: () => void, milliseconds: number) => void = (act, ms) => void setTimeout(act, ms)
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get active(): boolean {
    return this.watched !== null;
  }

  set active(active: boolean) {
    if (active && !this.watched) {
      this.watched = this.events.watch('resources', told => this.take(told));
      void this.begin();
    } else if (!active) {
      this.watched?.dispose();
      this.watched = null;
    }
  }

  private async begin(): Promise<void> {
    if (!this.choices) {
      const before = await this.memory.load();
      this.place = before.place ?? this.place;
      this.ranks = before.ranks ?? this.ranks;
      this.form = { ...EMPTY, ...before.form };
    }
    await this.attempt(async () => {
      this.choices = await this.api.ask('get', '/mpidist/api/resources/choices');
      const names = this.choices.partitions.map(each => each.name);
      if (this.form.partition && !names.includes(this.form.partition)) {
        this.form = { ...this.form, partition: '' };
      }
    });
    this.check();
  }

  private take(told: Told): void {
    if ('data' in told) {
      this.resources = told.data as Wire['Resources'];
      this.problem = '';
    } else {
      this.problem = told.error || 'The connection to the Jupyter server is interrupted; it is tried again.';
    }
    this._changed.emit();
  }

  /** Something that is shown with it is another. */
  tell(): void {
    this._changed.emit();
  }

  /** Change where ranks are asked for, and how many here. */
  choose(what: { place?: Place; ranks?: number }): void {
    this.place = what.place ?? this.place;
    this.ranks = what.ranks ?? this.ranks;
    this.keep();
    this.check();
  }

  /** Change fields of the form. */
  edit(fields: Partial<Form>): void {
    this.form = { ...this.form, ...fields };
    this.offers = null;
    this.keep();
    this.check();
  }

  private keep(): void {
    this.memory.save({ place: this.place, ranks: this.ranks, form: this.form });
    this._changed.emit();
  }

  /** Ask the server what is wrong with the form, and for the script, when it has not changed for a moment. */
  private check(): void {
    const number = ++this.checks;
    if (this.place !== 'slurm' || !this.choices?.present || this.choices.problem) {
      return;
    }
    this.later(() => {
      if (number === this.checks) {
        void this.attempt(async () => {
          const script = await this.api.ask('post', '/mpidist/api/resources/script', { body: this.form });
          if (number === this.checks) {
            this.script = script;
          }
        });
      }
    }, CALM);
  }

  /** The Python that starts what the form asks for; null while something is wrong with it. */
  get code(): string | null {
    if (this.place === 'local') {
      return `import mpidist as md\n\nsession = md.connect(md.Local(ranks=${this.ranks}))\nsession`;
    }
    return this.script?.code || null;
  }

  /** Ask when jobs of some sizes could start. */
  async estimate(): Promise<void> {
    if (this.estimating) {
      return;
    }
    this.estimating = true;
    this._changed.emit();
    const chosen = this.choices?.partitions.find(each => (this.form.partition ? each.name === this.form.partition : each.default));
    const most = chosen?.nodes ?? Infinity;
    const nodes = [...new Set([1, Math.floor(this.form.nodes / 2), this.form.nodes, 2 * this.form.nodes])]
      .filter(count => count >= 1 && count <= most)
      .sort((a, b) => a - b);
    await this.attempt(async () => {
      const body = { form: this.form, nodes, times: [''] };
      this.offers = (await this.api.ask('post', '/mpidist/api/resources/estimate', { body })).offers;
    });
    this.estimating = false;
    this._changed.emit();
  }

  /** Fill in the form as the site, or the user, has done it. */
  usePreset(name: string): void {
    const preset = this.choices?.presets?.find(each => each.name === name);
    if (preset) {
      this.edit({ ...EMPTY, ...preset.form });
    }
  }

  /** Ask for the ranks now, without a notebook: they are kept until one connects. */
  async submit(): Promise<void> {
    if (this.submitting) {
      return;
    }
    this.submitting = true;
    this._changed.emit();
    await this.attempt(async () => {
      const body = { place: this.place, ranks: this.ranks, form: this.form };
      this.words = (await this.api.ask('post', '/mpidist/api/resources/sessions', { body })).words;
    });
    this.submitting = false;
    this._changed.emit();
  }

  /** Ask for further ranks, as the form says, for a session that goes on. */
  async add(id: string): Promise<void> {
    const body = { id, place: this.place, ranks: this.ranks, form: this.form };
    await this.act('/mpidist/api/resources/sessions/{id}/add', id, body);
  }

  async release(id: string, world: string): Promise<void> {
    await this.act('/mpidist/api/resources/sessions/{id}/release', id, { id, world });
  }

  async withdraw(id: string, request: string): Promise<void> {
    await this.act('/mpidist/api/resources/sessions/{id}/withdraw', id, { id, request });
  }

  /** Keep a folder in step with the ranks of a session. */
  async sync(id: string, folder: string): Promise<void> {
    await this.act('/mpidist/api/resources/sessions/{id}/sync', id, { id, folder });
  }

  /** Bring files to the ranks of a session, or results back, or end that. */
  async files(id: string, act: 'push' | 'pull' | 'stop'): Promise<void> {
    await this.act('/mpidist/api/resources/sessions/{id}/files', id, { id, act });
  }

  private async act<P extends Act>(path: P, id: string, body: Body<P, 'post'>): Promise<void> {
    await this.attempt(async () => {
      const done = (await this.api.ask('post', path, { places: { id }, body })) as Wire['Done'];
      this.words = done.words;
    });
  }

  /** What is kept for this session, if it waits for a notebook. */
  held(session: string): Wire['Held'] | undefined {
    return this.resources?.held?.find(each => each.session === session);
  }

  /** Sessions that were asked for and have no ranks: not yet, or not any more. */
  get asked(): readonly Wire['Held'][] {
    const there = new Set(this.resources?.sessions.map(each => each.id));
    return this.resources?.held?.filter(each => !there.has(each.session)) ?? [];
  }

  async cancelJob(id: string): Promise<void> {
    await this.attempt(async () => {
      const done = await this.api.ask('delete', '/mpidist/api/resources/jobs/{id}', { places: { id } });
      this.words = done.words;
    });
  }

  async endSession(id: string): Promise<void> {
    await this.attempt(async () => {
      const done = await this.api.ask('delete', '/mpidist/api/resources/sessions/{id}', { places: { id } });
      this.words = done.words;
    });
  }

  /** Show the log of a job, or none. */
  async showLog(id: string | null): Promise<void> {
    this.log = null;
    if (id === null) {
      this._changed.emit();
      return;
    }
    await this.attempt(async () => {
      const done = await this.api.ask('get', '/mpidist/api/resources/jobs/{id}/log', { places: { id } });
      this.log = { job: id, text: done.words };
    });
  }

  private async attempt(act: () => Promise<void>): Promise<void> {
    try {
      this.words = '';
      await act();
    } catch (error) {
      this.words = error instanceof Refused ? error.message : String(error);
    }
    this._changed.emit();
  }
}

/** The part of a world's time that is over, from 0 to 1; null if its end is not known. `now`: s since the epoch. */
export function spent(world: Wire['World'], now: number): number | null {
  if (world.ends === null || world.ends <= world.started) {
    return null;
  }
  return Math.min(1, Math.max(0, (now - world.started) / (world.ends - world.started)));
}

/** Seconds as "1 d 2 h", "2 h 5 min", "12 min", "40 s". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) {
    return hours ? `${days} d ${hours} h` : `${days} d`;
  }
  if (hours) {
    return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  return minutes ? `${minutes} min` : `${whole} s`;
}
