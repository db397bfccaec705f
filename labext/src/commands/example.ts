/** A copy of the example analysis in the user's folder. */
import type { Contents } from '@jupyterlab/services';

import type { Wire } from '../asking';

export const FOLDER = 'mpidist-example';

/** What is needed of the server's contents. */
export type IFiles = Pick<Contents.IManager, 'get' | 'save'>;

/**
 * Write the files of the example below `folder`, and give the path of its notebook. What is there is kept: the user may have worked on it.
 */
export async function copyExample(files: IFiles, example: Wire['Example'], folder: string): Promise<string> {
  const root = join(folder, FOLDER);
  await make(files, folder, FOLDER);
  for (const { path, content } of example.files) {
    const names = path.split('/');
    const name = names.pop() ?? '';
    let parent = root;
    for (const each of names) {
      await make(files, parent, each);
      parent = join(parent, each);
    }
    if (!(await has(files, parent, name))) {
      await files.save(join(parent, name), { type: 'file', format: 'base64', content });
    }
  }
  return join(root, example.notebook);
}

function join(folder: string, name: string): string {
  return folder ? `${folder}/${name}` : name;
}

/** Make a folder in another one if it is not there. */
async function make(files: IFiles, parent: string, name: string): Promise<void> {
  if (!(await has(files, parent, name))) {
    await files.save(join(parent, name), { type: 'directory' });
  }
}

async function has(files: IFiles, folder: string, name: string): Promise<boolean> {
  const found = (await files.get(folder)).content as Contents.IModel[];
  return found.some(each => each.name === name);
}
