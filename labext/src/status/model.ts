/**
 * How many ranks are connected and for how long; tells of what the user must not miss. No DOM here.
 *
 * All pages see the same things happen: each asks the server whether it is its turn to tell, so that the user is told once.
 */
import { ISignal, Signal } from '@lumino/signaling';

import type { IApi, Wire } from '../asking';
import type { IEvents, Told } from '../events';

/** Something that the user is told. `id` is the same in all pages; `at`: when it happens, s since the epoch. */
export interface Notice {
  id: string;
  at: number;
  session: string;
  job: string;
  /** s that are left. */
  left: number;
}

/** Where it runs; tests have their own. */
export interface IClock {
  /** s since the epoch. */
  now(): number;
  /** Call once after so many s; gives a function that forgets it. */
  later(act: () => void, seconds: number): () => void;
  /** Whether the browser shows the page. */
  visible(): boolean;
}

/** What is needed of a run. */
export type RunSeen = Pick<Wire['Run'], 'id' | 'results' | 'state' | 'failures' | 'words' | 'started' | 'ended'>;

/** Two times of an end that are so close (s) are the same. */
const SAME = 60;
const LONGEST = 60;

export class StatusModel {
  sessions: readonly Wire['Session'][] = [];
  /** How many runs have not ended. */
  running = 0;
  /** The user is told of the end of runs that took so many s; of shorter ones they are there. */
  longRun = 60;
  /** Whether the user wants to be told. */
  notifies = true;

  private readonly _changed = new Signal<this, void>(this);
  private readonly _noticed = new Signal<this, Notice>(this);
  private readonly _ended = new Signal<this, RunSeen>(this);
  private readonly unfinished = new Set<string>();
  private readonly asked = new Map<string, number>();
  /** What is known was told while the page was seen: nobody hears of a session that ended while the page was hidden. */
  private fresh = false;
  private forget: () => void = () => undefined;
  private _limits: readonly number[] = [60, 300];

  constructor(
    private readonly api: IApi,
    events: IEvents,
    private readonly clock: IClock
  ) {
    events.watch('status', told => this.hear(told));
    events.watch('runs', told => this.hearRuns(told));
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The user is to be told of it, by this page. */
  get noticed(): ISignal<this, Notice> {
    return this._noticed;
  }

  /** A run that took long has ended, and the user is to be told of it by this page. */
  get ended(): ISignal<this, RunSeen> {
    return this._ended;
  }

  /** How many s before the end of a session's time the user is told. */
  set limits(seconds: readonly number[]) {
    this._limits = [...seconds].sort((a, b) => a - b);
    this.tick();
  }

  get ranks(): number {
    return this.sessions.reduce((sum, session) => sum + session.ranks, 0);
  }

  /** s until the first of them end; null if none is known to. */
  get left(): number | null {
    const ends = this.worlds().map(([, world]) => world.ends ?? Infinity);
    const first = Math.min(...ends);
    return Number.isFinite(first) ? Math.max(0, first - this.clock.now()) : null;
  }

  private worlds(): [Wire['Session'], Wire['World']][] {
    return this.sessions.flatMap(session =>
      session.worlds.map((world): [Wire['Session'], Wire['World']] => [session, world])
    );
  }

  private hear(told: Told): void {
    if ('data' in told) {
      this.sessions = (told.data as Wire['Status']).sessions;
      this.fresh = true;
      this.tick();
    }
  }

  private hearRuns(told: Told): void {
    if (!('data' in told)) {
      return;
    }
    const runs = (told.data as Wire['Runs']).kernels.flatMap(kernel => kernel.runs);
    const before = this.running;
    this.running = runs.filter(run => !run.ended).length;
    for (const run of runs) {
      if (!run.ended) {
        this.unfinished.add(run.id);
      } else if (this.unfinished.delete(run.id)) {
        void this.runEnded(run);
      }
    }
    if (this.running !== before) {
      this._changed.emit();
    }
  }

  private async runEnded(run: RunSeen): Promise<void> {
    if (this.clock.now() - run.started >= this.longRun && (await this.isTurn(`run:${run.id}`, run.started))) {
      this._ended.emit(run);
    }
  }

  /** Look at the clock: tell what is due, and come back when something changes. */
  private tick(): void {
    this.forget();
    this._changed.emit();
    this.fresh = this.fresh && this.clock.visible();
    let next = LONGEST;
    for (const [session, world] of this.worlds()) {
      if (world.ends !== null) {
        const left = world.ends - this.clock.now();
        const due = this._limits.find(limit => left <= limit);
        if (due !== undefined && left > 0 && this.fresh) {
          void this.notice(session.id, world, due, world.ends);
        }
        const later = this._limits.filter(limit => limit < left).map(limit => left - limit);
        next = Math.min(next, ...later);
      }
    }
    const left = this.left;
    if (left !== null) {
      // The text counts minutes.
      this.forget = this.clock.later(() => this.tick(), Math.min(next, (left % 60) + 0.5));
    }
  }

  private async notice(session: string, world: Wire['World'], limit: number, at: number): Promise<void> {
    const id = `limit:${session}:${world.job || Math.round(world.started)}:${limit}`;
    if (await this.isTurn(id, at)) {
      this._noticed.emit({ id, at, session, job: world.job, left: at - this.clock.now() });
    }
  }

  /** Whether it is this page that tells the user of what happens at a time. */
  private async isTurn(id: string, at: number): Promise<boolean> {
    const before = this.asked.get(id);
    if (!this.notifies || (before !== undefined && at <= before + SAME)) {
      return false;
    }
    this.asked.set(id, at);
    try {
      return (await this.api.ask('post', '/mpidist/api/status/turn', { body: { id, at } })).mine;
    } catch {
      return true; // The server does not answer, and twice is better than never.
    }
  }
}
