"use strict";

/* The stacked areas: each account on top of those below it, in watts made of two readings of joules. These are some
   seconds apart, since energy settles in steps. */
const ACCOUNTS = ["attributed", "idle", "bypass", "unresolved"];
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const STEP = 5, GAP_SECONDS = 3 * STEP;

class PowerChart {
  constructor(box) {
    this.box = box;
    this.readings = [];
    this.plot = null;
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  show(readings) {
    this.readings = readings;
    if (this.plot === null) this.rebuild();
    else this.plot.setData(this.data());
  }

  /* Times, and the watts of each account with all that lie below it. A gap between readings is a gap in the picture. */
  data() {
    const times = [], stacked = ACCOUNTS.map(() => []), first = this.settledFrom();
    for (let i = first + STEP; i < this.readings.length; i++) {
      const [before, after] = [this.readings[i - STEP], this.readings[i]];
      const seconds = after.at - before.at;
      times.push(after.at);
      let below = 0;
      ACCOUNTS.forEach((account, place) => {
        below += Math.max(0, after.joules[account] - before.joules[account]) / seconds;
        stacked[place].push(seconds > GAP_SECONDS ? null : below);
      });
    }
    return [times, ...stacked.reverse()];
  }

  /* The first reading by which something had settled: until then nothing is known, which is not 0 W. */
  settledFrom() {
    const total = (reading) => ACCOUNTS.reduce((sum, account) => sum + reading.joules[account], 0);
    return Math.max(0, this.readings.findIndex((reading) => total(reading) > total(this.readings[0])));
  }

  rebuild() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const clock = (_, ticks) => ticks.map((at) => new Date(1000 * at).toLocaleTimeString([], CLOCK));
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const areas = [...ACCOUNTS].reverse().map((account) => ({
      label: account, stroke: colour(account), fill: colour(account), width: 1, points: { show: false },
    }));
    this.plot?.destroy();
    this.plot = new uPlot({
      width: this.box.clientWidth, height: 260, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { range: (_, __, top) => [0, Math.max(1, top * 1.1)] } },
      axes: [{ ...axis, space: 75, values: clock }, { ...axis, size: 64, values: (_, ticks) => ticks.map((watts) => `${watts.toLocaleString()} W`) }],
      series: [{}, ...areas],
    }, this.data(), this.box);
  }

  resize() {
    if (this.plot !== null) this.plot.setSize({ width: this.box.clientWidth, height: 260 });
  }
}
