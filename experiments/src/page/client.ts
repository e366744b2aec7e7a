/** What the page does in the browser: draws charts when they come into view, changes what they show, sorts the table. */

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
        return window.Plotly.react(canvas, got[0].data, layout, config);
      }).then(function () { chart.setAttribute('data-drawn', ''); });
    }
    if (select) select.addEventListener('change', function () { show(select.selectedIndex); });
    return function () { show(select ? select.selectedIndex : 0); };
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
