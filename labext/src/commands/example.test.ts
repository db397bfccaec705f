import type { Contents } from '@jupyterlab/services';
import { describe, expect, it } from 'vitest';

import { copyExample, IFiles } from './example';

const EXAMPLE = {
  notebook: 'dimuon.ipynb',
  files: [
    { path: 'dimuon.ipynb', content: 'bm90ZWJvb2s=' },
    { path: 'data/dimuon.root', content: 'ZXZlbnRz' }
  ]
};

class Files implements IFiles {
  saved: Record<string, string> = {};
  refuses = false;

  async get(path: string): Promise<Contents.IModel> {
    if (this.refuses) {
      throw new Error(`${path} is not for you`);
    }
    const start = path ? `${path}/` : '';
    const below = Object.keys(this.saved).filter(each => each.startsWith(start));
    const names = below.map(each => each.slice(start.length)).filter(each => !each.includes('/'));
    return { content: names.map(name => ({ name })) } as Contents.IModel;
  }
  async save(path: string, model: Partial<Contents.IModel> = {}): Promise<Contents.IModel> {
    const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
    if (parent && this.saved[parent] !== 'directory' && parent !== 'work') {
      throw new Error(`${parent} is not there`);
    }
    this.saved[path] = model.type === 'directory' ? 'directory' : String(model.content);
    return {} as Contents.IModel;
  }
}

describe('a copy of the example', () => {
  it.each(['', 'work'])('has all files, in folder "%s"', async folder => {
    const files = new Files();
    files.saved['work'] = 'directory';
    const path = await copyExample(files, EXAMPLE, folder);
    const root = folder ? `${folder}/mpidist-example` : 'mpidist-example';
    expect(path).toBe(`${root}/dimuon.ipynb`);
    expect(files.saved[path]).toBe('bm90ZWJvb2s=');
    expect(files.saved[`${root}/data`]).toBe('directory');
    expect(files.saved[`${root}/data/dimuon.root`]).toBe('ZXZlbnRz');
  });

  it('keeps what the user has made of it, and adds what is missing', async () => {
    const files = new Files();
    await copyExample(files, EXAMPLE, '');
    files.saved['mpidist-example/dimuon.ipynb'] = 'mine';
    delete files.saved['mpidist-example/data/dimuon.root'];
    await copyExample(files, EXAMPLE, '');
    expect(files.saved['mpidist-example/dimuon.ipynb']).toBe('mine');
    expect(files.saved['mpidist-example/data/dimuon.root']).toBe('ZXZlbnRz');
  });

  it('is not begun in a folder that may not be read', async () => {
    const files = new Files();
    files.refuses = true;
    await expect(copyExample(files, EXAMPLE, '')).rejects.toThrow('not for you');
    expect(files.saved).toEqual({});
  });
});
