"""The flow of messages through one dialog: what is sent, kept, sent again, put in order and given, exactly once.

A `seckex.delivery.flow.sending.Sending` is our direction of a dialog, a
`seckex.delivery.flow.receiving.Receiving` the peer's. Neither knows keys,
connections or the store; who owns both (below: the house) drives them like this.

Commits. At most one commit of a dialog is under way at a time. When none is and
``sending.has_changes or receiving.has_changes``, the house takes ``changes()``
of both sides (each may be None), and commits their operations, in their order,
together with ``PutDialog(receiving.written_into(sending.written_into(dialog)))``
where either has ``numbers``. Then ``committed(changes)`` of each side is called,
and what the changes have to tell is told: ``accepted``, ``failed`` before
``delivered`` and ``processed``, ``spools`` to be dropped, ``dead`` and ``gaps``
to be reported. When the commit fails, ``not_committed(changes)`` is called: both
sides keep everything, and the next ``changes()`` have it again, so the house
should wait for its tick before it asks again. Who commits once for all that
happened in a turn has messages joined into few segments.

Sending. While a connection has room for a dialog and ``sending.is_ready``, the
house takes ``sending.next(room, now)``, seals the piece with
``receiving.acknowledge()`` in its dialog header, and says it. None means that
there is nothing now; ``sending.wanted()`` then tells what has to be read first,
each once, and `Sending.fetched` or `Sending.not_fetched` answers.
`seckex.delivery.flow.fair.Turns` tells whose turn it is on a connection.

STATE. When ``sending.has_frames or receiving.owes``, the house says STATE with
``sending.frames(now) + receiving.frames(now)`` and ``receiving.acknowledge()``
in its header, after a commit and when nothing else is about to leave.

What comes. Of every envelope that was opened the house calls
``sending.acknowledged(header.acknowledged, now)`` and then, by its kind,
`Receiving.take_messages`, `Receiving.take_fragment`, or for every frame
``sending.hear(frame, now)`` and ``receiving.hear(frame, now)``, which return
whether the frame is theirs; behind the last frame ``sending.heard_state(now)``.
They raise `seckex.errors.PeerMisbehaved` where the peer breaks a rule.
``receiving.spool_work()`` then has what is to be done with the spool, in its
order, and `Receiving.written` answers all but `DropSpool`.

Programs. ``receiving.give(most, now)`` while ``receiving.can_give``, then
`Receiving.verdict`; what has to be read first is as above.

Connections. ``sending.connected(now)`` and ``receiving.connected()`` when a
dialog gets a connection, ``sending.disconnected()`` when it loses it.
``sending.tick(now, blocked)`` and ``receiving.tick(now)`` once a second.

Ends. `Sending.end`, and END of the peer, with a `Receiving.code` if it is an
error: the house then ends our direction with it. The dialog is over when
``sending.is_over and receiving.is_over``; whoever speaks of it later is said
``receiving.frames`` again, after ``receiving.connected()``.
"""
