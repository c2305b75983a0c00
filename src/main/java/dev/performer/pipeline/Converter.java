package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.distill.ModelSequences;
import dev.performer.model.FavorConversion;
import dev.performer.model.InterpolatedPositions;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.RotaryScaling;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.softmax.FoundAttention;
import dev.performer.study.CalibrationReport;
import dev.performer.study.Calibrator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Replaces a model's exact softmax attention by FAVOR+, as the conversion specifies, and keeps all
 * weights; the result is an approximation. Or makes its table of positions longer; or both.
 *
 * <pre>{@code
 * new Converter(conversion).convert(Path.of("exact"), Path.of("favor"), false);
 * }</pre>
 */
public record Converter(
    Optional<FavorConversion> conversion,
    Optional<InterpolatedPositions> positions,
    Optional<RotaryScaling> rotary,
    Optional<CalibrationData> calibration) {
  /** Sequences that attention is calibrated by, evenly spread over a file. */
  public record CalibrationData(Path file, int sequences) {
    /** How many are enough, as a rule. */
    public static final int SEQUENCES = 256;

    private static final int LENGTH = 512; // tokens of a sequence at most

    public CalibrationData {
      require(sequences >= 1, "a calibration needs one sequence or more, not %d", sequences);
    }
  }

  /** Leaves rotary positions as they are. */
  public Converter(
      Optional<FavorConversion> conversion,
      Optional<InterpolatedPositions> positions,
      Optional<CalibrationData> calibration) {
    this(conversion, positions, Optional.empty(), calibration);
  }

  /** Replaces attention only, without a calibration. */
  public Converter(FavorConversion conversion) {
    this(Optional.of(conversion), Optional.empty(), Optional.empty());
  }

  /** The same, calibrated. */
  public Converter calibratedBy(CalibrationData data) {
    return new Converter(conversion, positions, rotary, Optional.of(data));
  }

  /**
   * The SavedModel that was written, the layers that were replaced, one line on it, what a
   * calibration changed, and of a model that is not ours what was found in its graph.
   */
  public record Outcome(
      Path model,
      List<Integer> layers,
      String note,
      Optional<CalibrationReport> report,
      List<FoundAttention> found) {}

  /**
   * The exact attention in the graph of any model, and what looks like it.
   *
   * @throws PerformerException if it cannot be read or run
   */
  public static List<FoundAttention> found(Path source) {
    return ImportedConversion.found(ModelLocation.savedModel(source));
  }

  /**
   * Converts a model with exact attention, and may replace what is at the target. One that is not
   * ours becomes a model of the same signatures and variables; what Python attached to it stays
   * behind.
   *
   * @throws PerformerException if no layer attends exactly, or the target cannot be written
   */
  public Outcome convert(Path source, Path target, boolean replace) {
    OutputDirectory.requireFree(target, replace);
    Path place = ModelLocation.savedModel(source);
    if (PerformerModels.config(place).isEmpty()) {
      return imported(source, place, target, replace);
    }
    PerformerModels.Saved model = PerformerModels.load(place);
    List<String> notes = new ArrayList<>();
    Made made;
    try {
      made = made(source, model, notes);
    } catch (PerformerException e) {
      throw e.in(source);
    }
    var converted = made.converted;
    var config = converted.config();
    ModelCard old = model.card();
    var lm = old.languageModel();
    lm =
        lm == null
            ? null
            : PerformerModels.languageModel(config, lm.masking()).withEnd(old.learntEnd());
    var origin = origin(old).madeFrom(source, notes); // metrics were of the original
    var card =
        ModelCard.of(config.attentionOf(0), old.vocabulary(), lm, origin)
            .withEmbedding(old.embedding())
            .withChatTemplate(old.chatTemplate());
    PerformerModels.write(config, converted.weights(), card, target, replace);
    String note = String.join("; ", notes);
    return new Outcome(target, converted.layers(), note, made.report, List.of());
  }

  private Outcome imported(Path source, Path place, Path target, boolean replace) {
    String only =
        "%s: does not say how it is built, so only its attention can be converted, not %s";
    require(conversion.isPresent(), only, source, "its positions");
    require(positions.isEmpty() && rotary.isEmpty(), only, source, "its positions, too");
    require(calibration.isEmpty(), only, source, "with a calibration");
    return new ImportedConversion(conversion.get()).convert(source, place, target, replace);
  }

  private record Made(FavorConversion.Converted converted, Optional<CalibrationReport> report) {}

  private Made made(Path source, PerformerModels.Saved model, List<String> notes) {
    if (calibration.isEmpty()) {
      return new Made(converted(model.config(), model.weights(), notes), Optional.empty());
    }
    require(conversion.isPresent(), "a calibration is of attention that is converted");
    var before = longer(model.config(), model.weights(), notes);
    var reader = new ModelSequences(source, model, Optional.empty());
    int longest = before.config().longestSequence().orElse(CalibrationData.LENGTH);
    CalibrationData data = calibration.get();
    var rows = reader.read(data.file(), Math.min(longest, CalibrationData.LENGTH));
    var some = rows.atMost(data.sequences()).rows();
    int padded = reader.paddedLength();
    var layers = conversion.get().chosen(before.config(), true);
    var found =
        new Calibrator(before.config(), before.weights())
            .calibrate(layers, some, reader.pad(), padded, data.file().toString());
    var now = conversion.get().apply(before.config(), before.weights(), found.layers());
    var report =
        CalibrationReport.measure(
            before.config(), before.weights(), now, found, some, reader.pad(), padded);
    notes.add(note(conversion.get(), now.layers()));
    notes.add(report.summary());
    return new Made(now, Optional.of(report));
  }

  /** Positions first, then attention, as far as they are to be changed. */
  FavorConversion.Converted converted(
      PerformerConfig config, Map<String, NpyArray> weights, List<String> notes) {
    var now = longer(config, weights, notes);
    if (conversion.isPresent()) {
      now = conversion.get().apply(now.config(), now.weights());
      notes.add(note(conversion.get(), now.layers()));
    }
    return now;
  }

  private FavorConversion.Converted longer(
      PerformerConfig config, Map<String, NpyArray> weights, List<String> notes) {
    var now = new InterpolatedPositions.Converted(config, weights);
    if (positions.isPresent()) {
      now = positions.get().apply(config, weights);
      notes.add(positions.get().note(config));
    }
    PerformerConfig scaled = now.config();
    if (rotary.isPresent()) {
      notes.add("rotary positions scaled: " + rotary.get());
      var keys = JsonNodeFactory.instance.objectNode();
      keys.set("rotaryScaling", StrictJson.tree(rotary.get()));
      scaled = scaled.with(keys, "rotary scaling");
    }
    return new FavorConversion.Converted(scaled, now.weights(), List.of());
  }

  /** What was done, in one line. */
  static String note(FavorConversion how, Collection<Integer> layers) {
    var to = how.favor();
    String heads = to.exactHeads() == 0 ? "" : ", exact heads " + to.exactHeads();
    if (to.hasBand()) {
      heads += ", exact within %d positions and at sinks %s".formatted(to.window(), to.sinks());
    }
    return "exact attention of layers %s replaced by FAVOR+ (%s, %d features, %s, seed %d%s)"
        .formatted(layers, to.kernel(), to.features(), to.lengths(), to.seed(), heads);
  }

  /** Where a model comes from, as far as that is known. */
  static ModelCard.Provenance origin(ModelCard card) {
    return card.provenance() == null ? ModelCard.Provenance.UNKNOWN : card.provenance();
  }
}
