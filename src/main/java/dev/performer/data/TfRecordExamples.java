package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * TFRecord files of {@code tf.train.Example}s, one after the other: a feature of integers is the
 * tokens themselves (as protein_lm's {@code sequence} is), one of bytes is text for the encoder.
 *
 * @param files read in this order
 * @param feature name of the tokens' or text's feature
 * @param label feature of the label, an integer or a number; empty for none
 * @param vocabularySize ids must be below
 * @param encoder turns text into ids
 */
public record TfRecordExamples(
    List<Path> files,
    String feature,
    Optional<LabelFeature> label,
    int vocabularySize,
    Function<String, int[]> encoder)
    implements ExampleSource {

  /** The feature that protein_lm's files have. */
  public static final String SEQUENCE = "sequence";

  /**
   * Where an example's label is.
   *
   * @param name of the feature; its first value counts
   * @param category whether it is a class, or a number to regress to
   */
  public record LabelFeature(String name, boolean category) {}

  public TfRecordExamples {
    files = List.copyOf(files);
    if (files.isEmpty()) {
      throw new IllegalArgumentException("no files");
    }
  }

  /**
   * Counts the classes of a file: one more than the largest, which takes a pass over it.
   *
   * @param feature of integers from 0
   * @throws PerformerException if a record has no such feature, or a number that is no class
   */
  public static int classes(Path file, String feature) {
    long most = -1;
    try (TfRecordReader reader = TfRecordReader.open(file)) {
      for (byte[] data = reader.next(); data != null; data = reader.next()) {
        String where = file + ", record " + reader.record() + ": ";
        Label.Category category =
            (Label.Category)
                label(new LabelFeature(feature, true), feature(data, feature, where), where);
        most = Math.max(most, category.id());
        if (most >= TableExamples.MOST_CATEGORIES) {
          throw new PerformerException(
              where + "class " + most + " of '" + feature + "'; at most 100,000 are counted");
        }
      }
    }
    return (int) most + 1;
  }

  private static TfExample.Feature feature(byte[] data, String wanted, String where) {
    return feature(parse(data, where), wanted, where);
  }

  private static Map<String, TfExample.Feature> parse(byte[] data, String where) {
    try {
      return TfExample.parse(data);
    } catch (IOException e) {
      throw new PerformerException(where + "no tf.train.Example: " + e.getMessage(), e);
    }
  }

  private static TfExample.Feature feature(
      Map<String, TfExample.Feature> features, String wanted, String where) {
    TfExample.Feature found = features.get(wanted);
    if (found == null) {
      throw new PerformerException(
          where + "no feature '" + wanted + "'; it has " + new TreeSet<>(features.keySet()));
    }
    return found;
  }

  private static Label label(LabelFeature wanted, TfExample.Feature found, String where) {
    if (found.integers().length > 0) {
      long value = found.integers()[0];
      if (!wanted.category()) {
        return new Label.Value(value);
      }
      if (value >= 0 && value <= Integer.MAX_VALUE) {
        return new Label.Category((int) value);
      }
      throw new PerformerException(
          where + "class " + value + " of '" + wanted.name() + "' is not from 0 up");
    }
    if (!wanted.category() && found.floats().length > 0) {
      float number = (float) found.floats()[0];
      if (Float.isFinite(number)) {
        return new Label.Value(number);
      }
      throw new PerformerException(
          where + "label '" + wanted.name() + "' is " + number + "; expected a finite number");
    }
    throw new PerformerException(
        where
            + "label '"
            + wanted.name()
            + "' holds "
            + found.kind()
            + "; expected "
            + (wanted.category() ? "an integer" : "a number"));
  }

  @Override
  public String name() {
    return files.size() == 1 ? files.get(0).toString() : files.get(0) + " and others";
  }

  @Override
  public ExampleStream open() {
    return new Stream();
  }

  private final class Stream extends LookAheadExamples {
    private int file;
    private TfRecordReader reader = TfRecordReader.open(files.get(0));
    private boolean any;

    @Override
    protected Example read() {
      while (true) {
        byte[] data = reader.next();
        if (data != null) {
          any = true;
          return example(data);
        }
        if (file + 1 == files.size()) {
          if (!any) {
            throw new PerformerException(
                TfRecordExamples.this.name() + " holds no record; expected TFRecord");
          }
          return null;
        }
        reader.close();
        reader = TfRecordReader.open(files.get(++file));
      }
    }

    @Override
    public void close() {
      reader.close();
    }

    private Example example(byte[] data) {
      Map<String, TfExample.Feature> features = parse(data, where());
      return new Example(
          tokens(TfRecordExamples.feature(features, feature, where())),
          label
              .map(
                  wanted ->
                      TfRecordExamples.label(
                          wanted,
                          TfRecordExamples.feature(features, wanted.name(), where()),
                          where()))
              .orElse(Label.NONE));
    }

    private int[] tokens(TfExample.Feature found) {
      if (found.floats().length > 0 || found.bytes().size() > 1) {
        throw new PerformerException(
            where()
                + "feature '"
                + feature
                + "' holds "
                + found.bytes().size()
                + " texts and "
                + found.floats().length
                + " floats; expected one text or integers");
      }
      if (!found.bytes().isEmpty()) {
        if (!found.bytes().get(0).isValidUtf8()) {
          throw new PerformerException(where() + "feature '" + feature + "' is no UTF-8 text");
        }
        return encoder.apply(found.bytes().get(0).toStringUtf8());
      }
      for (long id : found.integers()) {
        if (id < 0 || id >= vocabularySize) {
          throw new PerformerException(
              where() + "token " + id + " is outside 0.." + (vocabularySize - 1));
        }
      }
      return Arrays.stream(found.integers()).mapToInt(id -> (int) id).toArray();
    }

    private String where() {
      return files.get(file) + ", record " + reader.record() + ": ";
    }
  }
}
