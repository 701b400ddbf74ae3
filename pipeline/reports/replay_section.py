"""A chart of any session, chosen on the page: its candles, the prior session's levels, and a backtest's trades.

All sessions travel as one compressed block of a few hundred kilobytes, which the reader's browser unpacks.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.market import label_sessions
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.theme import BAD, FADED, GOOD, INK, STRATEGY_COLORS, restyle

__all__ = ["replay_data", "replay_section"]

_CANDLES = 80  # of a session; where there are more bars, neighbours are put together
_SESSIONS = 2600  # the latest, ten years
_PRICES = ("open", "high", "low", "close")
_HEIGHT = 460
_SCRIPT = """
(async()=>{
const config=__CONFIG__,layout=__LAYOUT__,colors=__COLORS__;
const bytes=Uint8Array.from(atob(document.getElementById('replay-data').textContent),c=>c.charCodeAt(0));
const unpacked=new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
const data=JSON.parse(await new Response(unpacked).text());
const days=document.getElementById('replay-session'),books=document.getElementById('replay-strategy');
const chart=document.getElementById('replay-chart'),title=document.getElementById('replay-result');
data.sessions.forEach((day,i)=>days.add(new Option(day,i)));
data.strategies.forEach((name,i)=>books.add(new Option(name,i)));
const begins=[0];data.counts.forEach(n=>begins.push(begins[begins.length-1]+n));
const clock=minute=>new Date(minute*60000).toISOString().slice(0,16).replace('T',' ');
const dollars=new Intl.NumberFormat('en-US',{minimumFractionDigits:2,maximumFractionDigits:2});
function draw(){
 const s=+days.value,from=begins[s],n=data.counts[s],x=[],price={open:[],high:[],low:[],close:[]};
 let minute=data.begins[s],last=0;
 for(let i=from;i<from+n;i++){minute+=data.minutes[i];x.push(clock(minute));
  const open=last+data.gap[i],close=open+data.body[i];last=close;
  price.open.push(open*data.tick);price.close.push(close*data.tick);
  price.high.push((Math.max(open,close)+data.above[i])*data.tick);
  price.low.push((Math.min(open,close)-data.below[i])*data.tick);}
 const step=n>1?data.minutes[from+1]:5,ends=[clock(data.begins[s]-step),clock(minute+step)];
 const line=(name,y,look)=>({type:'scatter',mode:'lines',name:name,x:ends,y:[y,y],line:look,
  hovertemplate:name+': %{y:,}<extra></extra>'});
 const traces=[{type:'candlestick',name:'bars',showlegend:false,x:x,...price,
  increasing:{line:{color:colors.faded,width:1},fillcolor:'#fff'},
  decreasing:{line:{color:colors.faded,width:1},fillcolor:colors.faded}}];
 const levels=data.levels[s];
 if(levels){traces.push(line('prior VAL',levels[0],{color:colors.blue,width:1}),
  line('prior VPOC',levels[1],{color:colors.blue,width:1.4,dash:'dash'}),
  line('prior VAH',levels[2],{color:colors.blue,width:1}));}
 const trades=data.trades[+books.value].filter(t=>t[0]===s);let made=0;
 trades.forEach((t,k)=>{const [,side,quantity,entered,entry,stop,target,left,exit,reason,pnl]=t;made+=pnl;
  const first=k===0,color=pnl>0?colors.good:colors.bad;
  traces.push({...line('stop',stop,{color:colors.bad,width:1.1,dash:'dot'}),legendgroup:'stop',showlegend:first},
   {...line('target',target,{color:colors.good,width:1.1,dash:'dot'}),legendgroup:'target',showlegend:first},
   {type:'scatter',mode:'lines+markers',name:(side>0?'long ':'short ')+quantity,
    x:[clock(entered),clock(left)],y:[entry,exit],line:{color:colors.ink,width:1.6},
    marker:{size:[12,9],color:[colors.ink,color],symbol:[side>0?'triangle-up':'triangle-down','circle']},
    hovertemplate:'%{x|%H:%M} at %{y:,}<extra>'+reason+'</extra>'});});
 const sum=(made<0?'−':'')+data.currency+dollars.format(Math.abs(made));
 title.textContent=trades.length?trades.length+(trades.length>1?' trades, ':' trade, ')+sum:'no trade';
 Plotly.react(chart,traces,{...layout,xaxis:{...layout.xaxis,range:ends}},config);
}
const move=by=>{const to=+days.value+by;if(to>=0&&to<data.sessions.length){days.value=to;draw();}};
const jump=by=>{const own=new Set(data.trades[+books.value].map(t=>t[0]));
 for(let to=+days.value+by;to>=0&&to<data.sessions.length;to+=by)if(own.has(to)){days.value=to;draw();return;}};
[['replay-back',()=>move(-1)],['replay-on',()=>move(1)],['replay-trade-back',()=>jump(-1)],['replay-trade-on',()=>jump(1)]]
 .forEach(([name,act])=>document.getElementById(name).addEventListener('click',act));
days.addEventListener('change',draw);books.addEventListener('change',draw);
days.value=data.sessions.length-1;jump(-1);draw();
})().catch(()=>{document.getElementById('replay-result').textContent='This browser cannot unpack the sessions.';});
"""


def replay_section(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> str:
    """All of it as HTML; ``trades`` from :func:`pipeline.reports.trade_list.trade_list`."""
    import plotly.graph_objects as go

    if inputs.profiles.empty:
        return '<p class="note">No session with volume.</p>'
    data = replay_data(inputs, trades)
    figure = go.Figure()
    figure.update_xaxes(type="date", tickformat="%H:%M", rangeslider={"visible": False}, showgrid=False)
    figure.update_yaxes(tickformat=",.10~g")
    restyle(figure, height=_HEIGHT, simulated=inputs.simulated)
    colors = {"faded": FADED, "ink": INK, "good": GOOD, "bad": BAD, "blue": STRATEGY_COLORS[0]}
    parts = {
        "__CONFIG__": {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""},
        "__LAYOUT__": json.loads(figure.to_json(engine="json"))["layout"],
        "__COLORS__": colors,
    }
    script = _SCRIPT
    for place, part in parts.items():
        script = script.replace(place, json.dumps(part, separators=(",", ":")).replace("<", "\\u003c"))
    # mtime is part of the format: without it the same inputs would not give the same bytes.
    packed = base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)).decode()
    note = (
        "Any session in exchange time: candles, the levels of the session before, and the trades of the backtest "
        f"chosen (up to {_CANDLES} candles per session; the latest {_SESSIONS:,} sessions)."
    )
    buttons = "".join(
        f'<button type="button" id="replay-{name}">{text}</button>'
        for name, text in (
            ("trade-back", "« trade"),
            ("back", "‹ session"),
            ("on", "session ›"),
            ("trade-on", "trade »"),
        )
    )
    return (
        f'<p class="note">{note}</p><div class="picker"><select id="replay-session" aria-label="Session"></select>'
        f'<select id="replay-strategy" aria-label="Backtest"></select>{buttons}<span id="replay-result"></span></div>'
        f'<div id="replay-chart" class="plot" style="height:{_HEIGHT}px"></div>'
        f'<script type="text/plain" id="replay-data">{packed}</script>\n<script>{script}</script>'
    )


def replay_data(inputs: ReportInputs, trades: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Everything the chart can show, as JSON holds it.

    Returns
    -------
    dict
        ``sessions`` (dates), ``begins`` (minute of the first candle by the exchange's wall clock, counted from 1970),
        ``counts`` (candles of each session), ``minutes`` (from one candle to the next, 0 for a session's first),
        in ticks ``gap`` (open less the close of the candle before; the open itself for a session's first), ``body``
        (close less open), ``above`` and ``below`` (what high and low reach beyond both), ``tick`` (size), ``levels``
        (VAL, VPOC, VAH of the session with a profile before; None for the first), ``strategies``, ``trades`` (of
        each: session's place, side, quantity, entry minute, price, stop, target, exit minute, price, reason, P&L),
        ``currency``.
    """
    instrument, profiles = inputs.instrument, inputs.profiles
    labels = label_sessions(pd.DatetimeIndex(inputs.bars["timestamp"]), instrument)
    held = labels.mask(inputs.settings.hours) & labels.sessions.isin(profiles.index[-_SESSIONS:])
    bars, owner = inputs.bars[held], labels.sessions[held]
    sessions, place, size = np.unique(owner.to_numpy(), return_inverse=True, return_counts=True)
    first = np.append(0, size.cumsum()[:-1]).astype(np.int64)
    inside = np.arange(len(bars)) - first[place]
    group = -(-size // _CANDLES)
    starts = np.flatnonzero(inside % group[place] == 0)
    ticks = {name: instrument.to_ticks(bars[name].to_numpy(np.float64)) for name in _PRICES}
    minutes = _minutes(pd.DatetimeIndex(bars["timestamp"]), instrument.time_zone)[starts]
    heads = np.searchsorted(starts, first)
    since = np.diff(minutes, prepend=minutes[:1])
    since[heads] = 0
    ends = np.append(starts[1:], len(bars)) - 1
    opens, closes = ticks["open"][starts], ticks["close"][ends]
    highs, lows = np.maximum.reduceat(ticks["high"], starts), np.minimum.reduceat(ticks["low"], starts)
    gap = opens - np.append(0, closes[:-1])
    gap[heads] = opens[heads]
    before = profiles.index.searchsorted(pd.DatetimeIndex(sessions)) - 1
    levels = profiles[["val", "vpoc", "vah"]].to_numpy(np.float64)
    names = [name for name in inputs.by_interest if name in trades]
    return {
        "sessions": [f"{session:%Y-%m-%d %a}" for session in pd.DatetimeIndex(sessions)],
        "begins": minutes[heads].tolist(),
        "counts": np.diff(np.append(heads, len(starts))).tolist(),
        "minutes": since.tolist(),
        "gap": gap.tolist(),
        "body": (closes - opens).tolist(),
        "above": (highs - np.maximum(opens, closes)).tolist(),
        "below": (np.minimum(opens, closes) - lows).tolist(),
        "tick": instrument.tick_size,
        "levels": [levels[row].tolist() if row >= 0 else None for row in before],
        "strategies": names,
        "trades": [_trades(trades[name], pd.DatetimeIndex(sessions)) for name in names],
        "currency": inputs.currency if inputs.currency == "$" else f"{inputs.currency} ",
    }


def _trades(trades: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[list[Any]]:
    place = sessions.get_indexer(pd.DatetimeIndex(trades["session"]))
    entered, left = (_minutes(pd.DatetimeIndex(trades[name]), None).tolist() for name in ("entry_time", "exit_time"))
    found = []
    for k, trade in enumerate(trades.itertuples()):
        if place[k] >= 0:
            side = 1 if trade.side == "long" else -1
            prices = (trade.entry_price, trade.stop, trade.target)
            out = (left[k], trade.exit_price, trade.exit_reason.replace("_", " "), round(trade.pnl, 2))
            found.append([int(place[k]), side, int(trade.quantity), entered[k], *prices, *out])
    return found


def _minutes(times: pd.DatetimeIndex, zone: str | None) -> np.ndarray:
    """Minutes since 1970 by the wall clock of the zone, or of the times' own."""
    local = (times if zone is None else times.tz_convert(zone)).tz_localize(None)
    return local.as_unit("s").asi8 // 60
