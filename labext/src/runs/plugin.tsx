/** Adds the section "Runs" to the panel. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import React from 'react';

import type { Wire } from '../asking';
import { isSingle } from '../notebook';
import { Section } from '../section';
import { IMpidistPanel, IMpidistServer } from '../tokens';
import { RunsModel } from './model';
import { RunsView } from './panel';
import { jump, openView } from './view';

export const runs: JupyterFrontEndPlugin<void> = {
  id: '@mpidist/labext:runs',
  description: 'Runs of all kernels, in the panel of mpidist.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, panel: IMpidistPanel, server: IMpidistServer, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const model = new RunsModel(server.api, server.events);
    const told = async (act: () => Promise<void>) => {
      try {
        await act();
      } catch (error) {
        model.say(trans.__('The notebook could not be shown: %1', String(error)));
      }
    };
    const toCell = (path: string, run: Wire['Run']) =>
      told(async () => {
        const found = await jump(app, path, run);
        if (found === 'gone') {
          model.say(trans.__('The cell that showed this run is not in %1 any more.', path));
        } else if (found === 'elsewhere') {
          model.say(trans.__('%1 is in another tab of the browser, with the cell that shows this run.', path));
        }
      });
    // Where a page has one document, a view has no place beside it: then its cell is shown.
    const toView = isSingle(app) ? toCell : (path: string, run: Wire['Run']) => told(() => openView(app, path, run));
    const show = (path: string) => void app.commands.execute('docmanager:open', { path });
    const draw = (shown: RunsModel) => <RunsView model={shown} trans={trans} jump={toCell} open={toView} show={show} />;
    panel.addSection(new Section('mpidist-runs', trans.__('Runs'), model, draw), 20);
  }
};
