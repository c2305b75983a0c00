package dev.performer.cli;

import static dev.performer.cli.PerformerCommand.requireUsage;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Labels;
import dev.performer.pipeline.FineTuneTask;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.ImportedTask.Pooling;
import dev.performer.training.LossTerm;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** What a model learns of labelled examples, in place of its language. */
final class TaskOptions {
  private static final List<String> OF_LANGUAGE =
      List.of("--logits", "--objective", "--masking", "--model-shifts", "--continue-optimizer");

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  @Option(
      names = "--task",
      paramLabel = "TASK",
      converter = Kinds.class,
      description =
          "classification, multi-label, regression or token-classification of labelled examples, by a new layer on the model.")
  private Kind kind;

  @Option(
      names = "--loss",
      paramLabel = "OUTPUT=KIND:ARRAY[*WEIGHT]",
      description =
          "What an output shall come near to, for any model: mse, mae, cross-entropy or binary-cross-entropy (of logits), or these with -of-probabilities. Several are summed.")
  private List<String> losses = new ArrayList<>();

  @Option(
      names = "--output-name",
      description =
          "The output that the new layer is on, or that guesses by itself with --no-head (default: states of tokens, else a vector of each example).")
  private String output;

  @Option(
      names = "--no-head",
      description = "The output guesses by itself: logits, or numbers. No new layer.")
  private boolean own;

  @Option(
      names = "--probabilities",
      description = "With --no-head: the output gives probabilities, not logits.")
  private boolean probabilities;

  @Option(
      names = "--pooling",
      description = "States of tokens to a vector: mean (of real tokens; default) or first.")
  private Pooling pooling = Pooling.MEAN;

  @Option(
      names = "--text",
      description = "Column or feature of the text (default: text, sequence or sentence).")
  private String text;

  @Option(
      names = "--labels",
      split = ",",
      paramLabel = "NAME",
      description =
          "Columns, features or arrays of the labels (default: label, labels, tags or target).")
  private List<String> labels = new ArrayList<>();

  @Option(
      names = "--label-separator",
      description = "Between the labels that a column of multi-label holds (default: ;).")
  private String separator = FineTuneTask.SEPARATOR;

  @Option(
      names = "--pixels",
      paramLabel = "BLACK,WHITE",
      description = "What images are read as (default: 0,255).")
  private String pixels;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "With --task or --loss: examples of a batch (default: 32).")
  private Integer size;

  boolean isGiven() {
    return kind != null || !losses.isEmpty();
  }

  /** Refuses what goes with a task only, or with a language only. */
  void check() {
    var parsed = spec.commandLine().getParseResult();
    if (isGiven()) {
      String odd = "%s is of language models, not of --task and --loss%s";
      for (String name : OF_LANGUAGE) {
        String other = name.equals("--logits") ? "; --output-name names the output" : "";
        requireUsage(!parsed.hasMatchedOption(name), odd, name, other);
      }
      requireUsage(kind == null || losses.isEmpty(), "--task and --loss exclude each other");
      return;
    }
    var names =
        Stream.of(
            "--output-name",
            "--no-head",
            "--probabilities",
            "--pooling",
            "--text",
            "--labels",
            "--label-separator",
            "--pixels",
            "--batch-size");
    names.forEach(
        name -> requireUsage(!parsed.hasMatchedOption(name), "%s needs --task or --loss", name));
  }

  FineTuneTask task() {
    requireUsage(!probabilities || own, "--probabilities needs --no-head");
    double black = 0;
    double white = 255;
    if (pixels != null) {
      String form = "-?[0-9]*[.]?[0-9]+";
      requireUsage(
          pixels.matches(form + "," + form),
          "--pixels is BLACK,WHITE, such as 0,1, not %s",
          pixels);
      black = Double.parseDouble(pixels.substring(0, pixels.indexOf(',')));
      white = Double.parseDouble(pixels.substring(pixels.indexOf(',') + 1));
      requireUsage(black < white, "--pixels: black %s is not below white %s", black, white);
    }
    return new FineTuneTask(
        kind,
        losses.stream().map(LossTerm::parse).toList(),
        output,
        kind != null && !own,
        pooling,
        probabilities,
        text,
        labels,
        separator,
        black,
        white);
  }

  /** Batches of so many examples, unless a number of tokens is given. */
  SequenceBatching batching(SequenceBatching given) {
    requireUsage(size == null || size >= 1, "--batch-size must be at least 1, not %s", size);
    boolean isOfTokens = spec.commandLine().getParseResult().hasMatchedOption("--batch-tokens");
    requireUsage(size == null || !isOfTokens, "--batch-size and --batch-tokens exclude each other");
    BatchSize examples =
        size == null ? SequenceBatching.LABELLED.size() : new BatchSize.Sequences(size);
    var cropped = given.crop() == null ? given.withCrop(SequenceBatching.LABELLED.crop()) : given;
    return isOfTokens ? cropped : cropped.withSize(examples);
  }

  /** Names with hyphens. */
  static final class Kinds implements ITypeConverter<Kind> {
    @Override
    public Kind convert(String value) {
      try {
        return Labels.find("task", value, List.of(Kind.values()), Kind::label);
      } catch (PerformerException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
