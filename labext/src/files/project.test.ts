import { expect, test } from 'vitest';

import { Project } from './project';

test.each([
  ['what was chosen last is there again', undefined, 'analysis'],
  ['a choice that is made meanwhile counts', 'other', 'other'],
  ['so does the choice of none', null, null]
])('%s', async (_, chosen, expected) => {
  const saved: (string | null)[] = [];
  const project = new Project({ load: () => Promise.resolve('analysis'), save: folder => void saved.push(folder) });
  if (chosen !== undefined) {
    project.choose(chosen);
  }
  await new Promise(done => setTimeout(done));
  expect(project.folder).toBe(expected);
  expect(saved).toEqual(chosen === undefined ? [] : [chosen]);
});

test('a memory that fails is none', async () => {
  const project = new Project({ load: () => Promise.reject(new Error('no')), save: () => undefined });
  await new Promise(done => setTimeout(done));
  expect(project.folder).toBe(null);
});
