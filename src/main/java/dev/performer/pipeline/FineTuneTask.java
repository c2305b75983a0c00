package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.savedmodel.TaskCard;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.ImportedTask.Pooling;
import dev.performer.training.LossTerm;
import java.util.List;

/**
 * What a model of any kind is to learn of labelled examples: a task, for which it gets a new layer
 * on one of its outputs or learns with that output as it is; or losses of its outputs.
 *
 * <pre>{@code
 * FineTuneTask task = FineTuneTask.of(TaskCard.Kind.CLASSIFICATION).withColumns("text", "label");
 * FineTuneJob.of(Model.open(encoder), task, Path.of("reviews.csv"), run).run(Progress.on(System.err));
 * }</pre>
 *
 * @param kind null where there are losses
 * @param losses summed; empty where there is a task
 * @param output of the signature; null for the one that fits
 * @param hasNewLayer whether a new layer on the output guesses
 * @param pooling how states of tokens become a vector for the new layer
 * @param isOfProbabilities whether the model's own output gives probabilities in place of logits
 * @param text column or feature of the text; null for text, sequence or sentence
 * @param labels columns, features or arrays of the labels; empty for the usual names
 * @param separator between several labels of one column
 * @param black what black is in images
 * @param white what white is
 */
public record FineTuneTask(
    Kind kind,
    List<LossTerm> losses,
    String output,
    boolean hasNewLayer,
    Pooling pooling,
    boolean isOfProbabilities,
    String text,
    List<String> labels,
    String separator,
    double black,
    double white) {
  /** Between several labels of one column. */
  public static final String SEPARATOR = ";";

  /** Checks. @throws dev.performer.PerformerException if parts do not go together */
  public FineTuneTask {
    losses = List.copyOf(losses);
    labels = List.copyOf(labels);
    require((kind == null) != losses.isEmpty(), "a task or losses are needed, not both");
    String own = "probabilities are of a model's own output, not of a new layer";
    require(!isOfProbabilities || !hasNewLayer, own);
    String numbers = "a regression has no probabilities";
    require(!isOfProbabilities || kind == null || !kind.hasNumbers(), numbers);
    require(black < white, "black %s is not below white %s", black, white);
  }

  /** A task with a new layer. */
  public static FineTuneTask of(Kind kind) {
    return new FineTuneTask(
        kind, List.of(), null, true, Pooling.MEAN, false, null, List.of(), SEPARATOR, 0, 255);
  }

  /** Losses of outputs; examples are arrays. */
  public static FineTuneTask of(LossTerm... losses) {
    return new FineTuneTask(
        null,
        List.of(losses),
        null,
        false,
        Pooling.MEAN,
        false,
        null,
        List.of(),
        SEPARATOR,
        0,
        255);
  }

  /** What a model's card has of it. */
  static FineTuneTask of(TaskCard card) {
    var losses = card.losses() == null ? List.<String>of() : card.losses();
    List<Double> pixels = card.pixels() == null ? List.of(0.0, 255.0) : card.pixels();
    return new FineTuneTask(
        card.kind(),
        losses.stream().map(LossTerm::parse).toList(),
        card.output(),
        false,
        Pooling.MEAN,
        Boolean.TRUE.equals(card.probabilities()),
        card.text(),
        card.labels() == null ? List.of() : card.labels(),
        card.separator(),
        pixels.get(0),
        pixels.get(1));
  }

  /** The same with a new layer on an output. */
  public FineTuneTask withOutput(String name) {
    return with(name, true, pooling, false, text, labels);
  }

  /** The same with the model's own output and no new layer. */
  public FineTuneTask withOwnOutput(String name, boolean probabilities) {
    return with(name, false, pooling, probabilities, text, labels);
  }

  /** The same with another way from states of tokens to a vector. */
  public FineTuneTask withPooling(Pooling other) {
    return with(output, hasNewLayer, other, isOfProbabilities, text, labels);
  }

  /** The same with other columns, features or arrays. */
  public FineTuneTask withColumns(String column, String... ofLabels) {
    return with(output, hasNewLayer, pooling, isOfProbabilities, column, List.of(ofLabels));
  }

  private FineTuneTask with(
      String out, boolean isNew, Pooling pool, boolean isP, String column, List<String> named) {
    return new FineTuneTask(
        kind, losses, out, isNew, pool, isP, column, named, separator, black, white);
  }

  /** The same with another separator of labels. */
  public FineTuneTask withSeparator(String other) {
    return new FineTuneTask(
        kind,
        losses,
        output,
        hasNewLayer,
        pooling,
        isOfProbabilities,
        text,
        labels,
        other,
        black,
        white);
  }

  /** The same with other numbers for black and white. */
  public FineTuneTask withPixels(double blackest, double whitest) {
    return new FineTuneTask(
        kind,
        losses,
        output,
        hasNewLayer,
        pooling,
        isOfProbabilities,
        text,
        labels,
        separator,
        blackest,
        whitest);
  }
}
