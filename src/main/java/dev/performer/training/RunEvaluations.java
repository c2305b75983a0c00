package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.training.run.Checkpoint.TrainingState;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.TrainerLog;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;

/** Evaluations of a run: they are logged, and the state of the run knows the best of them. */
record RunEvaluations(
    Validation validation,
    Session session,
    SaveRestore store,
    RunDirectory run,
    Progress progress,
    BooleanSupplier stop) {
  private Optional<Evaluation> measure() {
    return validation.evaluate(session, stop);
  }

  private void log(TrainerLog log, long step, Evaluation evaluation) {
    log.validation(step, evaluation, validation.describe(evaluation));
  }

  /** Begins a run. @throws PerformerException if it was stopped */
  TrainingState first(TrainerLog log) {
    Optional<Evaluation> before = measure();
    PerformerException.require(
        before.isPresent(), "stopped before the first step; nothing was trained");
    TrainingState start = TrainingState.start(before.get(), validation.fingerprint());
    log(log, 0, before.get());
    validation.reportOnce().ifPresent(progress::message);
    return start;
  }

  /** After another evaluation; empty if it was stopped. */
  Optional<TrainingState> next(TrainingState state, TrainerLog log) {
    Optional<Evaluation> measured = measure();
    measured.ifPresent(evaluation -> log(log, state.step(), evaluation));
    double least = validation.distance(state.best());
    return measured.map(
        now -> state.withEvaluation(now, Double.isNaN(least) || validation.distance(now) < least));
  }

  /**
   * Evaluations of a resumed run are compared with the best before: where the data are others now,
   * its weights and these are measured anew.
   */
  TrainingState resumed(TrainingState was, TrainerLog log) {
    String data = validation.fingerprint();
    if (was.validation() == null || data.equals(was.validation())) {
      return was.remeasured(was.latest(), was.best(), was.bestStep(), data);
    }
    progress.message("the validation data are others now; the best weights are measured on these");
    Optional<Evaluation> measured = measure();
    Optional<Evaluation> ofBest = was.standsAtBest() ? measured : ofBest(was, measured);
    if (measured.isEmpty() || ofBest.isEmpty()) {
      return was;
    }
    Evaluation now = measured.get();
    log(log, was.step(), now);
    return validation.distance(now) <= validation.distance(ofBest.get())
        ? was.remeasured(now, now, was.step(), data)
        : was.remeasured(now, ofBest.get(), was.bestStep(), data);
  }

  /** With the best weights; the other evaluation where their checkpoint is damaged. */
  private Optional<Evaluation> ofBest(TrainingState state, Optional<Evaluation> otherwise) {
    Path best;
    try {
      best = run.at(state.bestStep()).prefix();
    } catch (PerformerException e) {
      progress.message(e.getMessage());
      return otherwise;
    }
    try {
      store.restore(session, best);
      return measure();
    } finally {
      store.restore(session, run.at(state.step()).prefix());
    }
  }
}
