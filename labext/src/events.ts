/**
 * What the server tells as it changes, by topic, over one WebSocket.
 *
 * It is open only while something that is seen wants a topic and the browser shows the page: nothing is asked while nobody looks. When it breaks it is
 * tried again, after 1, 2, 4 ... 30 s; the server then tells each topic anew.
 */
import { DisposableDelegate, IDisposable } from '@lumino/disposable';

export type Told = { data: unknown } | { error: string };
export type Listener = (told: Told) => void;

/** What is needed of a WebSocket. */
export interface ISocket {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(text: string): void;
  close(): void;
}

/** Where it runs; tests have their own. */
export interface ISurroundings {
  open(): ISocket;
  /** Whether the browser shows the page. */
  visible(): boolean;
  onVisible(changed: () => void): void;
  later(act: () => void, milliseconds: number): void;
}

export const SHORTEST = 1000;
export const LONGEST = 30000;

export interface IEvents {
  /** Be told of a topic until what is returned is disposed. */
  watch(topic: string, listener: Listener): IDisposable;
}

export class Events implements IEvents {
  private readonly wanted = new Map<string, Set<Listener>>();
  private readonly last = new Map<string, Told>();
  private socket: ISocket | null = null;
  private isOpen = false;
  private pause = SHORTEST;
  private waiting = false;

  constructor(private readonly surroundings: ISurroundings) {
    surroundings.onVisible(() => this.update());
  }

  watch(topic: string, listener: Listener): IDisposable {
    const listeners = this.wanted.get(topic) ?? new Set();
    const first = listeners.size === 0;
    this.wanted.set(topic, listeners.add(listener));
    const known = this.last.get(topic);
    if (known) {
      listener(known);
    }
    if (first && this.isOpen) {
      this.say('subscribe', [topic]);
    }
    this.update();
    return new DisposableDelegate(() => this.forget(topic, listener));
  }

  private forget(topic: string, listener: Listener): void {
    const listeners = this.wanted.get(topic);
    if (listeners?.delete(listener) && listeners.size === 0) {
      this.wanted.delete(topic);
      this.last.delete(topic); // it would be old when somebody comes back
      if (this.isOpen) {
        this.say('unsubscribe', [topic]);
      }
      this.update();
    }
  }

  private say(word: 'subscribe' | 'unsubscribe', topics: string[]): void {
    this.socket?.send(JSON.stringify({ [word]: topics }));
  }

  /** Open or close, as is needed now. */
  private update(): void {
    const needed = this.wanted.size > 0 && this.surroundings.visible();
    if (needed && !this.socket && !this.waiting) {
      this.open();
    } else if (!needed && this.socket) {
      const socket = this.socket;
      this.socket = null;
      this.isOpen = false;
      socket.onclose = socket.onmessage = socket.onopen = null;
      socket.close();
    }
  }

  private open(): void {
    const socket = (this.socket = this.surroundings.open());
    socket.onopen = () => {
      this.isOpen = true;
      this.pause = SHORTEST;
      this.say('subscribe', [...this.wanted.keys()]);
    };
    socket.onmessage = event => this.tell(String(event.data));
    socket.onclose = () => {
      this.socket = null;
      this.isOpen = false;
      this.waiting = true;
      for (const topic of this.wanted.keys()) {
        this.give(topic, { error: '' });
      }
      this.surroundings.later(() => {
        this.waiting = false;
        this.update();
      }, this.pause);
      this.pause = Math.min(2 * this.pause, LONGEST);
    };
  }

  private tell(text: string): void {
    const { topic, ...told } = JSON.parse(text) as { topic: string } & Told;
    this.last.set(topic, told as Told);
    this.give(topic, told as Told);
  }

  private give(topic: string, told: Told): void {
    for (const listener of [...(this.wanted.get(topic) ?? [])]) {
      listener(told);
    }
  }
}
