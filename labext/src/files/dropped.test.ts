import { expect, test } from 'vitest';

import { dropped } from './dropped';

/** Entries as the browser gives them, a hundred at a time of a folder. */
function entry(name: string, what: readonly unknown[] | 'file' | 'locked'): unknown {
  if (what === 'file') {
    return { name, isFile: true, file: (given: (file: unknown) => void) => given({ size: 1 }) };
  }
  if (what === 'locked') {
    return { name, isFile: true, file: (_: unknown, failed: (error: Error) => void) => failed(new Error('NotReadableError')) };
  }
  const left = [...what];
  const readEntries = (given: (some: unknown[]) => void) => given(left.splice(0, 100));
  return { name, isFile: false, createReader: () => ({ readEntries }) };
}

function drop(...entries: unknown[]) {
  const items = entries.map(each => ({ webkitGetAsEntry: () => each }));
  return dropped(items as unknown as DataTransferItemList);
}

test('files in folders are named from there on, and hidden ones are left out', async () => {
  const many = Array.from({ length: 250 }, (_, each) => entry(`f${String(each).padStart(3, '0')}`, 'file'));
  const found = await drop(entry('data', [...many, entry('.git', [entry('config', 'file')])]), entry('b.txt', 'file'), null);
  expect(found.files.length).toBe(251);
  expect(found.files.slice(0, 2).map(each => each.name)).toEqual(['b.txt', 'data/f000']);
  expect([found.hidden, found.unread]).toEqual([1, []]);
});

test('what cannot be read is named, and the rest is sent', async () => {
  const folder = { name: 'shut', isFile: false, createReader: () => ({ readEntries: (_: unknown, failed: (error: Error) => void) => failed(new Error('no')) }) };
  const found = await drop(entry('data', [entry('a', 'file'), entry('b', 'locked'), folder]));
  expect(found.files.map(each => each.name)).toEqual(['data/a']);
  expect(found.unread).toEqual(['data/b', 'data/shut']);
});
