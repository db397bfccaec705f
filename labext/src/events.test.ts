import { describe, expect, it } from 'vitest';

import { Events, ISocket, LONGEST, SHORTEST, Told } from './events';

class Socket implements ISocket {
  onopen: ISocket['onopen'] = null;
  onmessage: ISocket['onmessage'] = null;
  onclose: ISocket['onclose'] = null;
  readonly said: unknown[] = [];
  closed = false;
  send(text: string): void {
    this.said.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  begins(): void {
    this.onopen?.({} as Event);
  }
  tells(told: object): void {
    this.onmessage?.({ data: JSON.stringify(told) } as MessageEvent);
  }
  breaks(): void {
    this.onclose?.({} as CloseEvent);
  }
}

class World {
  readonly sockets: Socket[] = [];
  readonly waits: number[] = [];
  isVisible = true;
  private changed: () => void = () => undefined;
  private acts: (() => void)[] = [];
  readonly events = new Events({
    open: () => {
      this.sockets.push(new Socket());
      return this.socket;
    },
    visible: () => this.isVisible,
    onVisible: changed => (this.changed = changed),
    later: (act, milliseconds) => {
      this.waits.push(milliseconds);
      this.acts.push(act);
    }
  });
  get socket(): Socket {
    return this.sockets[this.sockets.length - 1];
  }
  show(visible: boolean): void {
    this.isVisible = visible;
    this.changed();
  }
  wait(): void {
    this.acts.splice(0).forEach(act => act());
  }
}

function heard(events: Events, topic: string) {
  const told: Told[] = [];
  return { told, watch: events.watch(topic, each => told.push(each)) };
}

describe('Events', () => {
  it('opens one socket for all topics, and closes it when nobody watches', () => {
    const world = new World();
    expect(world.sockets).toHaveLength(0);
    const first = heard(world.events, 'runs');
    const second = heard(world.events, 'data');
    expect(world.sockets).toHaveLength(1);
    world.socket.begins();
    expect(world.socket.said).toEqual([{ subscribe: ['runs', 'data'] }]);
    world.socket.tells({ topic: 'runs', data: 1 });
    expect([first.told, second.told]).toEqual([[{ data: 1 }], []]);
    first.watch.dispose();
    expect(world.socket.said[1]).toEqual({ unsubscribe: ['runs'] });
    expect(world.socket.closed).toBe(false);
    second.watch.dispose();
    expect(world.socket.closed).toBe(true);
  });

  it('tells a later listener of the same topic what is known, without asking again', () => {
    const world = new World();
    heard(world.events, 'runs');
    world.socket.begins();
    world.socket.tells({ topic: 'runs', data: 7 });
    expect(heard(world.events, 'runs').told).toEqual([{ data: 7 }]);
    expect(world.socket.said).toHaveLength(1);
  });

  it('rests while the browser hides the page', () => {
    const world = new World();
    world.show(false);
    const listener = heard(world.events, 'runs');
    expect(world.sockets).toHaveLength(0);
    world.show(true);
    world.socket.begins();
    expect(world.socket.said).toEqual([{ subscribe: ['runs'] }]);
    world.show(false);
    expect(world.socket.closed).toBe(true);
    expect(listener.told).toEqual([]); // to rest is no error
  });

  it('tries again after a break, ever more slowly, and says so', () => {
    const world = new World();
    const listener = heard(world.events, 'runs');
    for (let i = 0; i < 7; i++) {
      world.socket.breaks();
      world.wait();
    }
    expect(world.waits.slice(0, 3)).toEqual([SHORTEST, 2 * SHORTEST, 4 * SHORTEST]);
    expect(Math.max(...world.waits)).toBe(LONGEST);
    expect(listener.told[0]).toEqual({ error: '' });
    world.socket.begins();
    expect(world.socket.said).toEqual([{ subscribe: ['runs'] }]);
    world.socket.breaks();
    expect(world.waits[world.waits.length - 1]).toBe(SHORTEST); // it was there again
  });
});
