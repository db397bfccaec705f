import React from 'react';

export interface IButton {
  label: string;
  hint?: string;
  /** What it is for, where several of that label are seen: for those who hear it. */
  about?: string;
  accept?: boolean;
  disabled?: boolean;
  act(): void;
}

/** A button as in JupyterLab's dialogs; `accept` for the one that most users want. */
export function Button(props: IButton): React.JSX.Element {
  return (
    <button
      className={`jp-Button jp-mod-styled jp-mod-minimal ${props.accept ? 'jp-mod-accept' : ''}`}
      title={props.hint ?? props.label}
      aria-label={props.about === undefined ? undefined : `${props.label} ${props.about}`}
      disabled={props.disabled}
      onClick={props.act}
    >
      {props.label}
    </button>
  );
}

/** Something that is wrong. */
export function Problem({ words }: { words: string }): React.JSX.Element {
  return (
    <p role="alert" className="jp-mpidist-Problem">
      {words}
    </p>
  );
}
