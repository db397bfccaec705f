/** The item in the status bar. */
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { mpidistIcon } from '../icons';
import type { StatusModel } from './model';
import { summary } from './words';

export class StatusItem extends ReactWidget {
  constructor(
    private readonly model: StatusModel,
    private readonly trans: TranslationBundle,
    private readonly open: () => void
  ) {
    super();
    this.addClass('jp-mpidist-StatusItem');
    this.addClass('jp-mod-highlighted');
  }

  protected override render(): React.JSX.Element {
    return <UseSignal signal={this.model.changed}>{() => this.draw()}</UseSignal>;
  }

  private draw(): React.JSX.Element {
    const text = summary(this.model, this.trans);
    const says = this.trans.__('mpidist: %1. Opens the panel.', text);
    return (
      <button type="button" title={says} aria-label={says} onClick={this.open}>
        <mpidistIcon.react tag="span" stylesheet="statusBar" />
        <span>{text}</span>
      </button>
    );
  }
}
