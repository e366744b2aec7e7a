/** What the page does in the browser: draws charts when they come into view, changes what they show, fits them to the page, sorts and filters the table. */

/** Runs as it stands: plain JavaScript of 2020, no library but plotly.js, which arrives as a promise. */
export const pageScript = `(function () {
  'use strict';
  var template = JSON.parse(document.getElementById('template').textContent);
  var config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d'] };

  function unpack(base64) {
    var bytes = Uint8Array.from(atob(base64), function (character) { return character.charCodeAt(0); });
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
  }

  function setUp(chart) {
    var choices = JSON.parse(chart.querySelector('script').textContent);
    var canvas = chart.querySelector('.canvas');
    var select = chart.querySelector('select');
    var latest = 0;
    function show(index) {
      var turn = ++latest;
      var choice = choices[index];
      Promise.all([choice.packed ? unpack(choice.packed) : choice.figure, window.specoffloadPlotly]).then(function (got) {
        if (turn !== latest) return;
        var layout = Object.assign({ template: template }, got[0].layout);
        if (canvas.clientWidth < narrowest) layout = narrow(layout, canvas.clientWidth);
        canvas.style.minHeight = (layout.height || 450) + 'px';
        return window.Plotly.react(canvas, got[0].data, layout, config);
      }).then(function () {
        chart.setAttribute('data-drawn', '');
        chart.setAttribute('data-width', canvas.clientWidth);
        chart.style.setProperty('--print-zoom', Math.min(1, printWidth / canvas.clientWidth));
      });
    }
    function showChosen() { show(select ? select.selectedIndex : 0); }
    if (select) select.addEventListener('change', showChosen);
    // What stands beside each other on a wide page stands below each other on a narrow one.
    window.addEventListener('resize', function () {
      // Printing may lay the page out anew for a moment; what is drawn is scaled then.
      if (window.matchMedia('print').matches || canvas.clientWidth === 0) return;
      var before = Number(chart.getAttribute('data-width'));
      if (before && (before < narrowest || canvas.clientWidth < narrowest)) showChosen();
      else if (before) chart.style.setProperty('--print-zoom', Math.min(1, printWidth / canvas.clientWidth));
    });
    return showChosen;
  }

  /** Figures need so many pixels for a legend in one line, and for two pairs of axes beside each other. */
  var narrowest = 720;
  /** What A4 holds between a page's margins and a card's. */
  var printWidth = 640;
  var pixelsPerCharacter = 6.4;
  var pixelsPerLine = 17;

  function wrap(text, most) {
    var lines = [''];
    text.split(' ').forEach(function (word) {
      var last = lines.length - 1;
      if (lines[last] !== '' && (lines[last] + ' ' + word).length > most) lines.push(word);
      else lines[last] += (lines[last] === '' ? '' : ' ') + word;
    });
    return lines;
  }

  /** The subtitle wraps, the legend goes below, panels stand one below the other. */
  function narrow(wide, width) {
    var layout = JSON.parse(JSON.stringify(wide));
    var margin = Object.assign({ t: 78, b: 60, l: 70, r: 30 }, layout.margin);
    var parts = /^([^]*?<span[^>]*>)([^]*)(<[/]span>)$/.exec((layout.title || {}).text || '');
    if (parts) {
      var lines = wrap(parts[2], Math.max(30, (width - 30) / pixelsPerCharacter));
      layout.title.xref = 'container';
      layout.title.x = 0.02;
      layout.title.text = parts[1] + lines.join('<br>') + parts[3];
      margin.t += (lines.length - 1) * pixelsPerLine;
    }
    var height = layout.height || 450;
    if (layout.grid && layout.grid.columns === 2) {
      layout.grid = Object.assign({}, layout.grid, { rows: 2, columns: 1, ygap: 0.3 });
      height += 300;
    }
    if (layout.showlegend && !layout.updatemenus) {
      layout.legend = { orientation: 'h', x: 0, xanchor: 'left', y: 0, yref: 'container', yanchor: 'bottom' };
      margin.b += 70;
      margin.t -= 24;
      height += 46;
    }
    layout.margin = margin;
    layout.height = height;
    return layout;
  }

  var charts = Array.from(document.querySelectorAll('.chart'));
  var starts = new Map(charts.map(function (chart) { return [chart, setUp(chart)]; }));
  function start(chart) {
    var draw = starts.get(chart);
    starts.delete(chart);
    if (draw) draw();
  }
  var observer = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) { if (entry.isIntersecting) start(entry.target); });
  }, { rootMargin: '600px' });
  charts.forEach(function (chart) { observer.observe(chart); });
  // A page can be printed at any time, and printing waits for nothing: all charts are drawn soon, one after another.
  function startRest() {
    var rest = starts.keys().next();
    if (rest.done) return;
    start(rest.value);
    setTimeout(startRest, 50);
  }
  window.specoffloadPlotly.then(function () { setTimeout(startRest, 500); });
  window.addEventListener('beforeprint', function () { charts.forEach(start); });

  function keyOf(row, column) {
    var cell = row.cells[column];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.textContent === '' ? null : cell.textContent;
  }
  function compare(a, b) {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    if (typeof a === 'number' && typeof b === 'number') return a - b;
    return String(a).localeCompare(String(b), 'en', { numeric: true });
  }
  document.querySelectorAll('.filter input').forEach(function (input) {
    var card = input.closest('section');
    var rows = Array.from(card.querySelector('table').tBodies[0].rows);
    input.addEventListener('input', function () {
      var words = input.value.toLowerCase().split(/ +/).filter(Boolean);
      var shown = rows.filter(function (row) {
        var text = Array.from(row.cells).map(function (cell) { return cell.textContent.toLowerCase(); }).join(' | ');
        row.hidden = !words.every(function (word) { return text.includes(word); });
        return !row.hidden;
      });
      card.querySelector('[role=status]').textContent = words.length === 0 ? '' : shown.length + ' of ' + rows.length;
    });
  });
  document.querySelectorAll('table.sortable').forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      head.querySelector('button').addEventListener('click', function () {
        var isAscending = head.getAttribute('aria-sort') === 'descending';
        heads.forEach(function (other) { other.removeAttribute('aria-sort'); });
        head.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
        var body = table.tBodies[0];
        var rows = Array.from(body.rows).map(function (row) { return { row: row, key: keyOf(row, column) }; });
        rows.sort(function (x, y) {
          // What is missing stays last either way.
          if (x.key === null || y.key === null) return compare(x.key, y.key);
          return isAscending ? compare(x.key, y.key) : compare(y.key, x.key);
        });
        rows.forEach(function (each) { body.appendChild(each.row); });
      });
    });
  });
})();`;
