/** What mpidist's plugins ask of each other. */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

import type { IApi } from './asking';
import type { IEvents } from './events';

/** The panel in the left side bar, with a section for each area. */
export interface IMpidistPanel {
  /** Add a section; those of lower rank come first. */
  addSection(section: Widget, rank: number): void;
  /** Show the panel. */
  reveal(): void;
}

export const IMpidistPanel = new Token<IMpidistPanel>(
  '@mpidist/labext:IMpidistPanel',
  'The panel of mpidist in the left side bar, to which sections are added.'
);

/** The way to the server. */
export interface IMpidistServer {
  readonly api: IApi;
  readonly events: IEvents;
}

export const IMpidistServer = new Token<IMpidistServer>(
  '@mpidist/labext:IMpidistServer',
  "Requests to mpidist's part of the Jupyter server, and what it tells."
);

/** The project folder. */
export interface IProject {
  /** As JupyterLab names it; null for none. */
  readonly folder: string | null;
  readonly changed: ISignal<IProject, void>;
}

export const IProject = new Token<IProject>('@mpidist/labext:IProject', 'The folder that sessions keep in step with their ranks.');
