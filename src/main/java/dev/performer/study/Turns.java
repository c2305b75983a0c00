package dev.performer.study;

import dev.performer.PerformerException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * What came of cases that were open at the same time, each in a process of its own, and took turns.
 *
 * @param timings by case
 * @param failures by case, of those without timings
 */
record Turns(
    Map<InTurns<?>, Map<String, Timing>> timings, Map<InTurns<?>, PerformerException> failures) {

  /** Opens all and lets them take turns. @param limit of one case */
  static Turns take(List<? extends InTurns<?>> cases, Duration limit, Rounds rounds) {
    Turns turns = new Turns(new IdentityHashMap<>(), new IdentityHashMap<>());
    Map<InTurns<?>, TurnsProcess> open = new LinkedHashMap<>();
    try {
      for (InTurns<?> one : cases) {
        turns.attempt(one, what -> open.put(what, TurnsProcess.open(what, limit)) == null);
      }
      List<InTurns<?>> order = new ArrayList<>(open.keySet());
      while (!order.isEmpty()) {
        order.removeIf(one -> !turns.attempt(one, what -> open.get(what).round(rounds)));
        Collections.rotate(order, 1); // nobody always runs behind the same neighbour
      }
      open.forEach(
          (one, process) -> {
            if (!turns.failures.containsKey(one)) {
              turns.timings.put(one, process.timings());
            }
          });
      return turns;
    } finally {
      open.values().forEach(TurnsProcess::close);
    }
  }

  /** False where it fails, too. */
  private boolean attempt(InTurns<?> what, Predicate<InTurns<?>> step) {
    try {
      return step.test(what);
    } catch (PerformerException e) {
      if (Thread.currentThread().isInterrupted()) {
        throw e;
      }
      failures.put(what, e);
      return false;
    }
  }
}
