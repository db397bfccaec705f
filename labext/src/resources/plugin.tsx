/** Adds the section "Resources" to the panel. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { PartialJSONObject } from '@lumino/coreutils';
import React from 'react';

import { runInNotebook } from '../notebook';
import { Section } from '../section';
import { IMpidistPanel, IMpidistServer } from '../tokens';
import { IMemory, ResourcesModel, Remembered } from './model';
import { ResourcesView } from './panel';

const ID = '@mpidist/labext:resources';

export const resources: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Sessions, jobs, and a form for more, in the panel of mpidist.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer, INotebookTracker],
  optional: [IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    tracker: INotebookTracker,
    state: IStateDB | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const model = new ResourcesModel(server.api, server.events, memory(state));
    const run = (code: string) => runInNotebook(app, tracker, code);
    const draw = (shown: ResourcesModel) => <ResourcesView model={shown} trans={trans} run={run} />;
    panel.addSection(new Section('mpidist-resources', trans.__('Resources'), model, draw), 10);
  }
};

function memory(state: IStateDB | null): IMemory {
  return {
    load: async () => ((await state?.fetch(ID)) ?? {}) as Partial<Remembered>,
    save: what => void state?.save(ID, what as unknown as PartialJSONObject)
  };
}
