/** Adds the section "Resources" to the panel. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { PartialJSONObject } from '@lumino/coreutils';
import React from 'react';

import { runInNotebook } from '../notebook';
import { Section } from '../section';
import { IMpidistPanel, IMpidistServer, IProject } from '../tokens';
import { withProject } from './code';
import { IMemory, ResourcesModel, Remembered } from './model';
import { ResourcesView } from './panel';

const ID = '@mpidist/labext:resources';

export const resources: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Sessions, jobs, and a form for more, in the panel of mpidist.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer, INotebookTracker, IProject],
  optional: [IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    tracker: INotebookTracker,
    project: IProject,
    state: IStateDB | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const model = new ResourcesModel(server.api, server.events, memory(state));
    const { contents } = app.serviceManager;
    const run = (code: string) => runInNotebook(app, tracker, notebook => withProject(code, project.folder, notebook));
    const open = (path: string) => void app.commands.execute('docmanager:open', { path });
    const fetch = async (path: string) => save(await contents.getDownloadUrl(path), path);
    project.changed.connect(() => model.tell());
    const draw = (shown: ResourcesModel) => (
      <ResourcesView model={shown} trans={trans} run={run} project={project.folder} open={open} fetch={path => void fetch(path)} />
    );
    panel.addSection(new Section('mpidist-resources', trans.__('Resources'), model, draw), 10);
  }
};

/** Let the browser save a file; it asks the server for the rest by itself when it is interrupted. */
function save(url: string, path: string): void {
  const link = document.createElement('a');
  link.href = url;
  link.download = path.split('/').pop() ?? '';
  document.body.appendChild(link);
  link.click();
  link.remove();
}

function memory(state: IStateDB | null): IMemory {
  return {
    load: async () => ((await state?.fetch(ID)) ?? {}) as Partial<Remembered>,
    save: what => void state?.save(ID, what as unknown as PartialJSONObject)
  };
}
