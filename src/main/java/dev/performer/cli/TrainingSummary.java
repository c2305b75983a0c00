package dev.performer.cli;

import dev.performer.pipeline.Job;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** What {@code train} and {@code fine-tune} report of a run at its end. */
record TrainingSummary(Job.Outcome outcome) {
  /** For a person: the exported weights against those before. */
  String text() {
    var result = outcome.result();
    return PerformerCommand.format(
        "validation %s -> %s in %d steps, %.0f s, %.0f tokens/s%n%s",
        result.before().describe(),
        result.best().describe(),
        result.steps(),
        result.seconds(),
        result.tokensPerSecond(),
        written(outcome.run(), outcome.model()));
  }

  static String written(Path run, Optional<Path> model) {
    return "Written: " + run + model.map(m -> ", the model is " + m).orElse("");
  }

  /**
   * For a machine. Each measure of the validation data, such as {@code loss} and {@code
   * perplexity}, comes thrice: {@code …Before} the first step, {@code …After} with the weights of
   * the best evaluation, which are those of the export, and {@code …Last} after the last step.
   */
  Map<String, Object> json() {
    var result = outcome.result();
    Map<String, Object> json = new LinkedHashMap<>();
    result.before().measures().forEach((name, value) -> json.put(name + "Before", value));
    result.best().measures().forEach((name, value) -> json.put(name + "After", value));
    result.after().measures().forEach((name, value) -> json.put(name + "Last", value));
    json.put("bestStep", result.bestStep());
    json.put("steps", result.steps());
    json.put("finished", result.finished());
    json.put("tokens", result.tokens());
    json.put("seconds", result.seconds());
    json.put("tokensPerSecond", result.tokensPerSecond());
    json.put("run", outcome.run());
    json.put("model", outcome.model().orElse(null));
    return json;
  }
}
