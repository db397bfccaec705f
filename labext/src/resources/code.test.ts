import { expect, test } from 'vitest';

import { withProject } from './code';

const CODE = 'import mpidist as md\n\nsession = md.attach("ab")\nsession';

test.each([
  ['analysis', 'run.ipynb', 'analysis'],
  ['analysis', 'notes/run.ipynb', '../analysis'],
  ['analysis', 'analysis/run.ipynb', '.'],
  ['', 'notes/run.ipynb', '..'],
  ['', 'run.ipynb', '.'],
  ['a "b" $&', 'run.ipynb', 'a \\"b\\" $&']
])('the project folder %s is named from %s on', (project, notebook, name) => {
  expect(withProject(CODE, project, notebook)).toBe(
    `import mpidist as md\n\nsession = md.attach("ab")\nsession.sync("${name}")\nsession`
  );
});

test('without one the code stays as it is', () => {
  expect(withProject(CODE, null, 'run.ipynb')).toBe(CODE);
});
