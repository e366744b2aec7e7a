/**
 * An extension of JupyterLab, by hand as module federation wants it. JupyterLab forgets what it has asked a kernel when
 * its page is loaded again: the cell runs on and its output goes nowhere. So the tab remembers which cell a request
 * came from and what was shown of it, and what the kernel publishes afterwards goes into that cell, too.
 */

(() => {
  /** Of a tab's storage, which browsers limit to about 5 MB. */
  const mostCharacters = 4_000_000;
  const shown = ['stream', 'display_data', 'update_display_data', 'execute_result', 'error', 'clear_output'];

  /** Follows a notebook's kernel, whichever it has. */
  function followNotebook(panel) {
    const { sessionContext } = panel;
    const follow = (kernel) => kernel && followKernel(panel, kernel).catch((error) => console.warn(error));
    sessionContext.kernelChanged.connect((_, { newValue }) => follow(newValue));
    follow(sessionContext.session?.kernel);
  }

  async function followKernel(panel, kernel) {
    const runs = new Map();
    kernel.anyMessage.connect((_, { msg, direction }) => {
      if (direction === 'send') noteRequest(panel, runs, msg);
      else if (msg.channel === 'iopub') noteAnswer(runs, msg);
    });
    const isOurs = (await kernel.spec)?.metadata?.specoffload !== undefined;
    if (!isOurs) return;
    const key = `specoffload ${kernel.id}`;
    window.addEventListener('pagehide', () => remember(key, runs));
    await panel.context.ready;
    for (const [id, run] of recall(key)) resume(panel, runs, id, run);
  }

  function noteRequest(panel, runs, { header, metadata }) {
    if (header.msg_type !== 'execute_request' || metadata?.cellId === undefined) return;
    const cells = [...panel.content.model.cells];
    const index = cells.findIndex(({ id }) => id === metadata.cellId);
    runs.set(header.msg_id, { cell: metadata.cellId, index, count: null, messages: [] });
  }

  function noteAnswer(runs, { header, parent_header, content }) {
    const run = runs.get(parent_header.msg_id);
    if (run === undefined) return;
    const message = { type: header.msg_type, content };
    if (message.type === 'execute_input') run.count = content.execution_count;
    if (shown.includes(message.type)) {
      run.messages.push(message);
      run.show?.(message);
    }
    if (message.type !== 'status' || content.execution_state !== 'idle') return;
    runs.delete(parent_header.msg_id);
    run.end?.();
  }

  /** What a tab has asked before its page was loaded again: shown as it was, and from here on. */
  function resume(panel, runs, id, run) {
    const cells = [...panel.content.model.cells];
    const cell = cells.find((candidate) => candidate.id === run.cell) ?? cells[run.index];
    if (cell?.type !== 'code') return;
    cell.trusted = true;
    cell.executionState = 'running';
    cell.outputs.clear();
    run.show = showIn(cell.outputs);
    run.end = () => {
      cell.executionState = 'idle';
      cell.executionCount = run.count;
    };
    for (const message of run.messages) run.show(message);
    runs.set(id, run);
  }

  /** Puts messages into a cell's outputs, updates of a display in its place. */
  function showIn(outputs) {
    const places = new Map();
    return ({ type, content }) => {
      if (type === 'clear_output') {
        places.clear();
        outputs.clear(content.wait);
        return;
      }
      const { transient, ...output } = content;
      const id = transient?.display_id;
      const at = places.get(id);
      const output_type = type === 'update_display_data' ? 'display_data' : type;
      if (type === 'update_display_data' && at !== undefined) outputs.set(at, { output_type, ...output });
      else {
        const length = outputs.add({ output_type, ...output });
        if (id !== undefined) places.set(id, length - 1);
      }
    };
  }

  /** The latest messages of each run that fit. */
  function remember(key, runs) {
    let characters = mostCharacters;
    const stored = [...runs].map(([id, { cell, index, count, messages }]) => {
      const from = messages.findLastIndex((message) => {
        characters -= JSON.stringify(message).length;
        return characters < 0;
      });
      return [id, { cell, index, count, messages: messages.slice(from + 1) }];
    });
    try {
      sessionStorage.setItem(key, JSON.stringify(stored));
    } catch (error) {
      console.warn(error);
    }
  }

  function recall(key) {
    const stored = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    return stored === null ? [] : JSON.parse(stored);
  }

  let notebook;
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB['@specoffload/kernel'] = {
    async init(shared) {
      notebook = (await Object.values(shared['@jupyterlab/notebook'])[0].get())();
    },
    async get() {
      const plugin = {
        id: '@specoffload/kernel:reconnect',
        autoStart: true,
        requires: [notebook.INotebookTracker],
        activate: (_app, tracker) => {
          tracker.widgetAdded.connect((_, panel) => followNotebook(panel));
        },
      };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
