/** Runs of all kernels. No DOM here. */
import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IApi, Refused, Wire } from '../asking';
import type { IEvents, Told } from '../events';

export type Act = Wire['RunRequest']['act'];

export class RunsModel {
  /** Kernels with their runs; null before the server has told. */
  kernels: readonly Wire['Kernel'][] | null = null;
  problem = '';
  /** What was done or refused last. */
  words = '';

  private readonly _changed = new Signal<this, void>(this);
  private watched: IDisposable | null = null;

  constructor(
    private readonly api: IApi,
    private readonly events: IEvents
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get active(): boolean {
    return this.watched !== null;
  }

  set active(active: boolean) {
    if (active && !this.watched) {
      this.watched = this.events.watch('runs', told => this.take(told));
    } else if (!active) {
      this.watched?.dispose();
      this.watched = null;
    }
  }

  private take(told: Told): void {
    if ('data' in told) {
      this.kernels = (told.data as Wire['Runs']).kernels;
      this.problem = '';
    } else {
      this.problem = told.error || 'The connection to the Jupyter server is interrupted; it is tried again.';
    }
    this._changed.emit();
  }

  /** Stop, pause or resume a run. */
  async act(pid: number, run: string, act: Act): Promise<void> {
    try {
      this.words = (await this.api.ask('post', '/mpidist/api/runs/act', { body: { pid, run, act } })).words;
    } catch (error) {
      this.words = error instanceof Refused ? error.message : String(error);
    }
    this._changed.emit();
  }

  /** List a run no more whose kernel has ended. */
  async forget(id: string): Promise<void> {
    try {
      this.words = (await this.api.ask('delete', '/mpidist/api/runs/past/{id}', { places: { id } })).words;
    } catch (error) {
      this.words = error instanceof Refused ? error.message : String(error);
    }
    this._changed.emit();
  }

  /** Say something that the user should know. */
  say(words: string): void {
    this.words = words;
    this._changed.emit();
  }
}

/** What can be done with a run in this state. */
export function acts(state: string): Act[] {
  switch (state) {
    case 'paused':
      return ['resume', 'stop'];
    case 'starting':
    case 'scanning':
    case 'running':
      return ['pause', 'stop'];
    default:
      return [];
  }
}

/** A number of events, or of events per second, in at most four characters and a unit: "950", "1.2 k", "34 M". */
export function count(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : Number(value.toPrecision(2))}${units[unit]}`;
}

/** The path of a sparkline as an outline of bins, in a box of this size. */
export function outline(heights: readonly number[], width: number, height: number): string {
  if (!heights.length) {
    return '';
  }
  const step = width / heights.length;
  const parts = heights.map((value, i) => {
    const y = (height * (1 - value)).toFixed(1);
    return `L${(i * step).toFixed(1)},${y}L${((i + 1) * step).toFixed(1)},${y}`;
  });
  return `M0,${height}${parts.join('')}L${width},${height}Z`;
}
