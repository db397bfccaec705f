/** A section of the panel: draws its model, and lets it work only while it is seen. */
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import type { Message } from '@lumino/messaging';
import React from 'react';

/** State with a signal; `active` while its section is seen. */
export interface IModel {
  readonly changed: ISignal<IModel, void>;
  active: boolean;
}

export class Section<M extends IModel> extends ReactWidget {
  constructor(
    id: string,
    title: string,
    readonly model: M,
    private readonly draw: (model: M) => React.JSX.Element
  ) {
    super();
    this.id = id;
    this.title.label = title;
    this.addClass('jp-mpidist-Section');
  }

  protected override render(): React.JSX.Element {
    return <UseSignal signal={this.model.changed as ISignal<M, void>}>{() => this.draw(this.model)}</UseSignal>;
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.model.active = true;
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.model.active = this.isVisible;
  }

  protected override onBeforeHide(message: Message): void {
    this.model.active = false;
    super.onBeforeHide(message);
  }

  protected override onBeforeDetach(message: Message): void {
    this.model.active = false;
    super.onBeforeDetach(message);
  }
}
