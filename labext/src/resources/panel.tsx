/** The section "Resources": what runs, and the form for more. */
import { showDialog, Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Wire } from '../asking';
import { Button, Problem } from '../button';
import { bytes, named } from '../words';
import { duration, Form, ResourcesModel, spent } from './model';

interface IProps {
  model: ResourcesModel;
  trans: TranslationBundle;
  run(code: string): Promise<void>;
  /** The project folder. */
  project: string | null;
  /** Show a file. */
  open(path: string): void;
  /** Download a file. */
  fetch(path: string): void;
}

export function ResourcesView(props: IProps): React.JSX.Element {
  const { model, trans } = props;
  return (
    <div className="jp-mpidist-Resources">
      {model.problem && <Problem words={model.problem} />}
      <Sessions {...props} />
      <Jobs {...props} />
      <h3>{trans.__('New session')}</h3>
      <Places {...props} />
      {model.place === 'local' ? <Local {...props} /> : <Slurm {...props} />}
      <p role="status" className="jp-mpidist-Words">
        {model.words}
      </p>
    </div>
  );
}

function Sessions(props: IProps): React.JSX.Element {
  const { model, trans } = props;
  const sessions = model.resources?.sessions;
  return (
    <section aria-label={trans.__('Sessions')}>
      <h3>{trans.__('Sessions')}</h3>
      {sessions === undefined && !model.problem && <p>{trans.__('Looking …')}</p>}
      {sessions?.length === 0 && model.asked.length === 0 && <p className="jp-mpidist-Faint">{trans.__('No ranks at present.')}</p>}
      <ul>
        {sessions?.map(session => (
          <SessionCard key={session.id} session={session} {...props} />
        ))}
        {model.asked.map(asked => (
          <AskedCard key={asked.session} asked={asked} {...props} />
        ))}
      </ul>
    </section>
  );
}

function SessionCard(props: IProps & { session: Wire['Session'] }): React.JSX.Element {
  const { session, model, trans, run, project } = props;
  const attach = `import mpidist as md\n\nsession = md.attach("${session.id}")\nsession`;
  const held = model.held(session.id);
  const free = session.orphaned || session.held === true;
  return (
    <li className="jp-mpidist-Card" data-session={session.id}>
      <div className="jp-mpidist-Row">
        <b>{trans._n('%1 rank', '%1 ranks', session.ranks)}</b>
        <span className="jp-mpidist-Faint">{session.id}</span>
      </div>
      {session.worlds.map(world => {
        const release = session.worlds.length > 1 && !free ? () => model.release(session.id, world.name ?? '') : undefined;
        return <World key={`${world.place} ${world.started}`} world={world} trans={trans} release={release} />;
      })}
      {session.requests?.map(request => (
        <div key={request.name} className="jp-mpidist-Row">
          <span className="jp-mpidist-Faint">{trans.__('Asked for: %1', request.words)}</span>
          <Button label={trans.__('Cancel')} act={() => void model.withdraw(session.id, request.name)} />
        </div>
      ))}
      {session.files && <Files files={session.files} {...props} />}
      {!session.files && !free && project !== null && (
        <div className="jp-mpidist-Row">
          <span className="jp-mpidist-Faint">{trans.__('Keeps no folder in step.')}</span>
          <Button
            label={trans.__('Keep %1 in step', named(project, trans))}
            hint={trans.__('brings the project folder to the ranks before each run, and results back')}
            act={() => void model.sync(session.id, project)}
          />
        </div>
      )}
      <div className="jp-mpidist-Faint">
        {session.held
          ? held?.state === 'ready'
            ? trans.__('Kept for you until a notebook connects.')
            : trans.__('Asked for: %1', held?.words ?? '')
          : session.orphaned
            ? trans.__('Its kernel has ended; the ranks go on for a while.')
            : session.notebook
              ? trans.__('In use by %1.', session.notebook)
              : trans.__('In use by process %1.', session.kernel)}
      </div>
      {!free && (
        <div className="jp-mpidist-Buttons">
          <Button
            label={trans.__('Add ranks')}
            hint={trans.__('asks for what the form below says, and adds it to this session; its runs go on meanwhile')}
            disabled={model.code === null}
            act={() => void model.add(session.id)}
          />
          <Button label={trans.__('End')} act={() => void confirmed(trans, trans.__('End session %1?', session.id), () => model.endSession(session.id))} />
        </div>
      )}
      {free && (
        <div className="jp-mpidist-Buttons">
          <Button accept label={trans.__('Connect')} hint={trans.__('attach it in the current notebook')} act={() => void run(attach)} />
          <Button label={trans.__('End')} act={() => void confirmed(trans, trans.__('End session %1?', session.id), () => model.endSession(session.id))} />
        </div>
      )}
    </li>
  );
}

/** The folder that a session keeps in step with its ranks. */
function Files(props: IProps & { session: Wire['Session']; files: Wire['Files'] }): React.JSX.Element {
  const { files, model, trans } = props;
  const session = props.session.id;
  const state: Record<string, string> = {
    'in step': trans.__('in step'),
    'to fetch': trans.__('results to fetch'),
    behind: trans.__('behind'),
    conflict: trans.__('conflict'),
    unreachable: trans.__('unreachable')
  };
  return (
    <div data-files={files.state}>
      <div className="jp-mpidist-Row">
        <span title={files.folder}>
          {trans._n('%2: %1 file', '%2: %1 files', files.count, named(files.folder.split('/').pop() ?? '', trans))}, <b>{state[files.state] ?? files.state}</b>
        </span>
        <span>
          <Button label={trans.__('Push')} hint={trans.__('brings changed files to the ranks now; each run does so, too')} act={() => void model.files(session, 'push')} />
          <Button label={trans.__('Pull')} hint={trans.__('fetches results from the ranks now')} act={() => void model.files(session, 'pull')} />
          <Button
            label={trans.__('Stop')}
            hint={trans.__('fetches the last results, and keeps the folder in step no more')}
            act={() => void model.files(session, 'stop')}
          />
        </span>
      </div>
      {files.problem && <Problem words={files.problem} />}
      {files.nodes
        .filter(node => node.state !== 'in step')
        .slice(0, MOST_NODES)
        .map((node, number) => (
          <div key={number} className="jp-mpidist-Faint">
            {node.host}: {node.words}
          </div>
        ))}
      {files.results && files.results.length > 0 && <Results results={files.results} {...props} />}
    </div>
  );
}

/** The newest files that ranks have sent back. */
function Results({ results, trans, open, fetch }: IProps & { results: readonly Wire['ResultFile'][] }): React.JSX.Element {
  return (
    <ul aria-label={trans.__('Results from the ranks')}>
      {results.map(each => (
        <li key={each.path} className="jp-mpidist-Row" data-result={each.path} title={`${each.path}, ${new Date(1000 * each.changed).toLocaleString()}`}>
          <span>
            {each.path.split('/').pop()} <span className="jp-mpidist-Faint">{bytes(each.size)}</span>
          </span>
          <span>
            <Button label={trans.__('Open')} about={each.path} act={() => open(each.path)} />
            <Button label={trans.__('Download')} about={each.path} act={() => fetch(each.path)} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Without ranks: they are not there yet, or they have gone and it is told why. */
function AskedCard({ asked, model, trans }: IProps & { asked: Wire['Held'] }): React.JSX.Element {
  const drop = () => model.endSession(asked.session);
  return (
    <li className="jp-mpidist-Card" data-session={asked.session}>
      <div className="jp-mpidist-Row">
        <b>{asked.place}</b>
        <span className="jp-mpidist-Faint">{asked.session}</span>
      </div>
      <div className="jp-mpidist-Faint">{trans.__('Asked for at %1.', new Date(1000 * asked.asked).toLocaleString())}</div>
      {asked.over ? <Problem words={asked.words} /> : <div>{asked.words}</div>}
      <div className="jp-mpidist-Buttons">
        {asked.over ? (
          <Button label={trans.__('Dismiss')} act={() => void drop()} />
        ) : (
          <Button label={trans.__('Cancel')} act={() => void confirmed(trans, trans.__('Cancel session %1?', asked.session), drop)} />
        )}
      </div>
    </li>
  );
}

interface IWorld {
  world: Wire['World'];
  trans: TranslationBundle;
  /** Ends it; not there for the only world of a session. */
  release?(): Promise<void>;
}

function World({ world, trans, release }: IWorld): React.JSX.Element {
  const now = Date.now() / 1000;
  const part = spent(world, now);
  return (
    <div>
      <div className="jp-mpidist-Row">
        <span>{[world.place, world.job && trans.__('job %1', world.job), world.words].filter(Boolean).join(', ')}</span>
        {release && <Button label={trans.__('Release')} act={() => void confirmed(trans, trans.__('End the ranks on %1?', world.place), release)} />}
      </div>
      {part === null || world.ends === null ? null : (
        <div className="jp-mpidist-Row">
          <progress value={part} max={1} aria-label={trans.__('time of the job')} />
          <span>{trans.__('%1 left', duration(world.ends - now))}</span>
        </div>
      )}
      {world.nodes && world.nodes.length > 0 && <Nodes nodes={world.nodes} trans={trans} />}
    </div>
  );
}

/** More are added up: a table of a thousand nodes is no overview. */
const MOST_NODES = 8;

/** What the ranks of a world take of each node. */
function Nodes({ nodes, trans }: { nodes: readonly Wire['Node'][]; trans: TranslationBundle }): React.JSX.Element {
  const rest = nodes.slice(MOST_NODES);
  const sum = (of: (node: Wire['Node']) => number) => rest.reduce((total, node) => total + of(node), 0);
  const shown = nodes.slice(0, MOST_NODES);
  if (rest.length) {
    shown.push({
      host: trans._n('%1 more node', '%1 more nodes', rest.length),
      ranks: sum(node => node.ranks),
      silent: sum(node => node.silent),
      memory: sum(node => node.memory),
      cpu: sum(node => node.cpu),
      total: sum(node => node.total)
    });
  }
  return (
    <table className="jp-mpidist-Nodes">
      <thead>
        <tr>
          <th>{trans.__('node')}</th>
          <th>{trans.__('ranks')}</th>
          <th title={trans.__('processors in use by your ranks')}>{trans.__('CPUs')}</th>
          <th>{trans.__('memory')}</th>
        </tr>
      </thead>
      <tbody>
        {shown.map(node => (
          <tr key={node.host}>
            <td>{node.host}</td>
            <td>{node.ranks}</td>
            <td>{node.silent === node.ranks ? '–' : node.cpu.toFixed(1)}</td>
            <td title={node.silent ? trans._n('%1 rank does not answer', '%1 ranks do not answer', node.silent) : undefined}>
              {node.silent === node.ranks ? '–' : trans.__('%1 of %2', bytes(node.memory), bytes(node.total))}
              {node.silent > 0 && ' *'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Jobs({ model, trans }: IProps): React.JSX.Element | null {
  const slurm = model.resources?.slurm;
  if (!slurm || (!slurm.present && model.place === 'local')) {
    return null;
  }
  return (
    <section aria-label={trans.__('Jobs')}>
      <h3>{trans.__('Jobs')}</h3>
      {slurm.problem && <Problem words={slurm.problem} />}
      {!slurm.problem && slurm.jobs.length === 0 && <p className="jp-mpidist-Faint">{trans.__('No jobs.')}</p>}
      <ul>
        {slurm.jobs.slice(0, MOST_JOBS).map(job => (
          <li key={job.id} className="jp-mpidist-Card" data-job={job.id}>
            <div className="jp-mpidist-Row">
              <b>
                {job.id} {job.name}
              </b>
              <span className={`jp-mpidist-State jp-mod-${job.waits ? 'waits' : 'runs'}`}>{job.state}</span>
            </div>
            <div>
              {job.partition}, {trans._n('%1 node', '%1 nodes', job.nodes)}, {job.used} / {job.limit}
            </div>
            <div className="jp-mpidist-Faint">
              {job.words}
              {job.start && `; ${trans.__('expected start %1', job.start)}`}
            </div>
            <div className="jp-mpidist-Buttons">
              <Button label={trans.__('Log')} act={() => void model.showLog(model.log?.job === job.id ? null : job.id)} />
              <Button label={trans.__('Cancel')} act={() => void confirmed(trans, trans.__('Cancel job %1?', job.id), () => model.cancelJob(job.id))} />
            </div>
            {model.log?.job === job.id && <pre tabIndex={0}>{model.log.text}</pre>}
          </li>
        ))}
      </ul>
      {slurm.jobs.length > MOST_JOBS && <p>{trans.__('and %1 more', slurm.jobs.length - MOST_JOBS)}</p>}
    </section>
  );
}

/** More are counted: nobody reads a list of a thousand. */
const MOST_JOBS = 50;

async function confirmed(trans: TranslationBundle, question: string, act: () => Promise<void>): Promise<void> {
  const buttons = [Dialog.cancelButton({ label: trans.__('Keep') }), Dialog.warnButton({ label: trans.__('End it') })];
  const answer = await showDialog({ title: question, body: trans.__('What runs there ends with it.'), buttons });
  if (answer.button.accept) {
    await act();
  }
}

function Places({ model, trans }: IProps): React.JSX.Element {
  const places = [
    ['local', trans.__('This machine')],
    ['slurm', trans.__('Slurm')]
  ] as const;
  return (
    <div role="radiogroup" aria-label={trans.__('Where')} className="jp-mpidist-Row">
      {places.map(([place, label]) => (
        <label key={place}>
          <input type="radio" name="mpidist-place" checked={model.place === place} onChange={() => model.choose({ place })} /> {label}
        </label>
      ))}
    </div>
  );
}

function Start({ model, trans, run }: IProps): React.JSX.Element {
  const code = model.code;
  return (
    <>
      <Button
        disabled={code === null || model.submitting}
        label={model.submitting ? trans.__('Asking …') : trans.__('Submit')}
        hint={trans.__('asks for these ranks now, and keeps them until a notebook connects; this page may be closed meanwhile')}
        act={() => void model.submit()}
      />
      <Button
        accept
        disabled={code === null}
        label={trans.__('Start in notebook')}
        hint={trans.__('puts a cell that asks for these ranks into the current notebook, and runs it')}
        act={() => void (code !== null && run(code))}
      />
    </>
  );
}

function Local(props: IProps): React.JSX.Element {
  const { model, trans } = props;
  const most = model.resources?.processors;
  return (
    <div className="jp-mpidist-Form">
      <label>
        <span>{trans.__('ranks')}</span>
        <Whole value={model.ranks} change={ranks => model.choose({ ranks })} />
      </label>
      {most !== undefined && <p className="jp-mpidist-Faint">{trans._n('%1 processor here', '%1 processors here', most)}</p>}
      <div className="jp-mpidist-Buttons">
        <Start {...props} />
      </div>
    </div>
  );
}

function Whole({ value, change }: { value: number; change(value: number): void }): React.JSX.Element {
  return (
    <input
      type="number"
      className="jp-mod-styled"
      min={1}
      step={1}
      value={value}
      onChange={event => {
        const typed = Math.floor(Number(event.target.value));
        if (typed >= 1) {
          change(typed);
        }
      }}
    />
  );
}

function Slurm(props: IProps): React.JSX.Element {
  const { model, trans } = props;
  const choices = model.choices;
  if (!choices) {
    return <p>{trans.__('Asking Slurm …')}</p>;
  }
  if (!choices.present || choices.problem) {
    return <Problem words={choices.problem || trans.__('There is no Slurm here.')} />;
  }
  const partitions = choices.partitions.map(each => {
    const label = trans.__('%1: %2 of %3 nodes idle, up to %4', each.name, each.idle, each.nodes, each.longest_time);
    return [each.name, each.up ? label : trans.__('%1 (closed)', each.name)] as const;
  });
  const usual = choices.partitions.find(each => each.default)?.name ?? '';
  return (
    <div className="jp-mpidist-Form">
      <Presets {...props} />
      <Choice {...props} name="partition" label={trans.__('partition')} options={[['', trans.__('default (%1)', usual)], ...partitions]} />
      <Number_ {...props} name="nodes" label={trans.__('nodes')} />
      <Number_ {...props} name="ranks_per_node" label={trans.__('ranks a node')} />
      <Entry {...props} name="time" label={trans.__('time')} example="00:30:00" />
      <details>
        <summary>{trans.__('More')}</summary>
        <Number_ {...props} name="cpus_per_rank" label={trans.__('processors a rank')} />
        <Entry {...props} name="mem_per_rank" label={trans.__('memory a rank')} example="2G" />
        <Entry {...props} name="account" label={trans.__('account')} offers={choices.accounts} />
        <Entry {...props} name="qos" label={trans.__('quality of service')} offers={choices.qos} />
        <Entry {...props} name="constraint" label={trans.__('constraint')} example="cpu" />
        <Entry {...props} name="reservation" label={trans.__('reservation')} />
        <Entry {...props} name="modules" label={trans.__('modules')} example="gcc/13 openmpi/5" />
        <Lines {...props} name="prologue" label={trans.__('lines before')} example="source env.sh" />
        <Entry {...props} name="cache" label={trans.__('memory for columns')} example="16 GB" />
        <Entry {...props} name="spill" label={trans.__('disk for columns')} example="$TMPDIR" />
      </details>
      <details>
        <summary>{trans.__('Script')}</summary>
        <pre tabIndex={0}>{model.script?.script}</pre>
      </details>
      <div className="jp-mpidist-Buttons">
        <Button label={trans.__('When?')} hint={trans.__('when jobs of some sizes would start; nothing is submitted')} disabled={model.estimating} act={() => void model.estimate()} />
        <Start {...props} />
      </div>
      {model.offers && <Offers offers={model.offers} trans={trans} />}
    </div>
  );
}

interface IField extends IProps {
  name: keyof Form;
  label: string;
}

function Field({ model, name, label, children }: IField & { children: React.ReactNode }): React.JSX.Element {
  const problem = model.script?.field === name ? model.script.problem : '';
  return (
    <label data-field={name}>
      <span>{label}</span>
      {children}
      {problem && <em role="alert">{problem}</em>}
    </label>
  );
}

function Number_(props: IField): React.JSX.Element {
  const { model, name } = props;
  return (
    <Field {...props}>
      <Whole value={model.form[name] as number} change={value => model.edit({ [name]: value })} />
    </Field>
  );
}

function Entry(props: IField & { example?: string; offers?: readonly string[] }): React.JSX.Element {
  const { model, name, offers } = props;
  const list = offers?.length ? `mpidist-${name}` : undefined;
  return (
    <Field {...props}>
      <input
        type="text"
        className="jp-mod-styled"
        value={model.form[name]}
        placeholder={props.example}
        list={list}
        maxLength={200}
        onChange={event => model.edit({ [name]: event.target.value })}
      />
      {list && (
        <datalist id={list}>
          {offers?.map(each => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
    </Field>
  );
}

/** Several lines of shell. */
function Lines(props: IField & { example: string }): React.JSX.Element {
  const { model, name } = props;
  return (
    <Field {...props}>
      <textarea
        className="jp-mod-styled"
        rows={2}
        value={model.form[name]}
        placeholder={props.example}
        maxLength={4000}
        spellCheck={false}
        onChange={event => model.edit({ [name]: event.target.value })}
      />
    </Field>
  );
}

/** Forms that the site, or the user, has filled in. */
function Presets({ model, trans }: IProps): React.JSX.Element | null {
  const offered = model.choices?.presets ?? [];
  return (
    <>
      {model.choices?.wrong?.map(words => <Problem key={words} words={words} />)}
      {offered.length > 0 && (
        <label data-field="preset">
          <span>{trans.__('preset')}</span>
          <select className="jp-mod-styled" value="" onChange={event => model.usePreset(event.target.value)}>
            <option value="">{trans.__('choose …')}</option>
            {offered.map(each => (
              <option key={each.name} value={each.name} title={each.hint}>
                {each.hint ? trans.__('%1: %2', each.name, each.hint) : each.name}
              </option>
            ))}
          </select>
        </label>
      )}
    </>
  );
}

function Choice(props: IField & { options: readonly (readonly [string, string])[] }): React.JSX.Element {
  const { model, name } = props;
  return (
    <Field {...props}>
      <select className="jp-mod-styled" value={model.form[name]} onChange={event => model.edit({ [name]: event.target.value })}>
        {props.options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </Field>
  );
}

function Offers({ offers, trans }: { offers: readonly Wire['Offer'][]; trans: TranslationBundle }): React.JSX.Element {
  return (
    <table>
      <thead>
        <tr>
          <th>{trans.__('nodes')}</th>
          <th>{trans.__("start (Slurm's estimate)")}</th>
          <th>{trans.__('where')}</th>
        </tr>
      </thead>
      <tbody>
        {offers.map(offer => (
          <tr key={`${offer.nodes} ${offer.time}`}>
            <td>{offer.nodes}</td>
            <td>{offer.start || '–'}</td>
            <td>{offer.where || offer.refused}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
