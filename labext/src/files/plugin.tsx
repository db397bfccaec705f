/** Adds the section "Files" to the panel, and tells others of the project folder. */
import { ILabStatus, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { InputDialog } from '@jupyterlab/apputils';
import { FileDialog, IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { DisposableDelegate, DisposableSet } from '@lumino/disposable';
import React from 'react';

import { Section } from '../section';
import { IMpidistPanel, IMpidistServer, IProject } from '../tokens';
import { FilesModel } from './model';
import { FilesView } from './panel';
import { IProjectMemory, Project } from './project';
import { Uploads } from './uploads';

const ID = '@mpidist/labext:files';

export const files: JupyterFrontEndPlugin<IProject> = {
  id: ID,
  description: 'The project folder, and uploads that go on after an interruption.',
  autoStart: true,
  provides: IProject,
  requires: [IMpidistPanel, IMpidistServer],
  optional: [IDefaultFileBrowser, ILabStatus, IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    browser: IDefaultFileBrowser | null,
    status: ILabStatus | null,
    state: IStateDB | null,
    translator: ITranslator | null
  ): IProject => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const project = new Project(memory(state));
    const local = (path: string) => app.serviceManager.contents.localPath(path);
    const uploads = new Uploads(server.api, {
      now: () => performance.now(),
      later: (act, milliseconds) => void window.setTimeout(act, milliseconds),
      busy: () => DisposableSet.from(status ? [status.setBusy(), status.setDirty()] : [new DisposableDelegate(() => undefined)]),
      came: () => void browser?.model.refresh()
    });
    const model = new FilesModel(project, uploads, () => local(browser?.model.path ?? ''));
    browser?.model.pathChanged.connect(() => model.moved());
    const choose = async () => {
      const folder = await asked(browser, project.folder, trans);
      if (folder !== null) {
        project.choose(local(folder));
      }
    };
    const draw = (shown: FilesModel) => <FilesView model={shown} trans={trans} choose={() => void choose()} />;
    panel.addSection(new Section('mpidist-files', trans.__('Files'), model, draw), 15);
    return project;
  }
};

/** A folder of the user's choice; null for no choice. */
async function asked(browser: IDefaultFileBrowser | null, folder: string | null, trans: TranslationBundle): Promise<string | null> {
  if (!browser) {
    return (await InputDialog.getText({ title: trans.__('Project folder'), text: folder ?? '' })).value;
  }
  const { manager } = browser.model;
  const answer = await FileDialog.getExistingDirectory({ manager, title: trans.__('Project folder'), defaultPath: folder ?? browser.model.path });
  return answer.button.accept && answer.value?.length ? answer.value[0].path : null;
}

function memory(state: IStateDB | null): IProjectMemory {
  return {
    load: async () => ((await state?.fetch(ID)) ?? null) as string | null,
    save: folder => void (folder === null ? state?.remove(ID) : state?.save(ID, folder))
  };
}
