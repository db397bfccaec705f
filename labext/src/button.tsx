import React from 'react';

/** A button as in JupyterLab's dialogs; `accept` for the one that most users want. */
export function Button(props: { label: string; hint?: string; accept?: boolean; disabled?: boolean; act(): void }): React.JSX.Element {
  return (
    <button
      className={`jp-Button jp-mod-styled jp-mod-minimal ${props.accept ? 'jp-mod-accept' : ''}`}
      title={props.hint ?? props.label}
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
