package dev.performer.data;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Function;
import org.tensorflow.proto.Feature;

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
                label(
                    new LabelFeature(feature, true),
                    feature(parse(data, where), feature, where),
                    where);
        most = Math.max(most, category.id());
        if (most >= TableExamples.MOST_CATEGORIES) {
          throw new PerformerException(
              where + "class " + most + " of '" + feature + "'; at most 100,000 are counted");
        }
      }
    }
    return (int) most + 1;
  }

  private static Map<String, Feature> parse(byte[] data, String where) {
    try {
      return org.tensorflow.proto.Example.parseFrom(data).getFeatures().getFeatureMap();
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException(where + "no tf.train.Example: its bytes are no such message", e);
    }
  }

  private static Feature feature(Map<String, Feature> features, String wanted, String where) {
    Feature found = features.get(wanted);
    if (found == null) {
      throw new PerformerException(
          "%sno feature '%s'; it has [%s]"
              .formatted(where, wanted, Excerpt.names(new TreeSet<>(features.keySet()))));
    }
    return found;
  }

  private static Label label(LabelFeature wanted, Feature found, String where) {
    if (found.getInt64List().getValueCount() > 0) {
      long value = found.getInt64List().getValue(0);
      if (!wanted.category()) {
        return new Label.Value(value);
      }
      if (value >= 0 && value <= Integer.MAX_VALUE) {
        return new Label.Category((int) value);
      }
      throw new PerformerException(
          where + "class " + value + " of '" + wanted.name() + "' is not from 0 up");
    }
    if (!wanted.category() && found.getFloatList().getValueCount() > 0) {
      float number = found.getFloatList().getValue(0);
      if (Float.isFinite(number)) {
        return new Label.Value(number);
      }
      throw new PerformerException(
          where + "label '" + wanted.name() + "' is " + number + "; expected a finite number");
    }
    throw new PerformerException(
        "%slabel '%s' holds %s; expected %s"
            .formatted(
                where, wanted.name(), kind(found), wanted.category() ? "an integer" : "a number"));
  }

  private static String kind(Feature feature) {
    return switch (feature.getKindCase()) {
      case BYTES_LIST -> "bytes";
      case FLOAT_LIST -> "floats";
      case INT64_LIST -> "integers";
      case KIND_NOT_SET -> "nothing";
    };
  }

  @Override
  public String name() {
    return files.size() == 1 ? files.get(0).toString() : files.get(0) + " and others";
  }

  @Override
  public DataStream<Example> open() {
    return new Stream();
  }

  private final class Stream extends LookAhead<Example> {
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
      String where = where();
      Map<String, Feature> features = parse(data, where);
      int[] tokens = tokens(TfRecordExamples.feature(features, feature, where));
      if (label.isEmpty()) {
        return new Example(tokens, Label.NONE);
      }
      Feature found = TfRecordExamples.feature(features, label.get().name(), where);
      return new Example(tokens, TfRecordExamples.label(label.get(), found, where));
    }

    private int[] tokens(Feature found) {
      List<ByteString> texts = found.getBytesList().getValueList();
      int floats = found.getFloatList().getValueCount();
      if (floats > 0 || texts.size() > 1) {
        throw new PerformerException(
            "%sfeature '%s' holds %d texts and %d floats; expected one text or integers"
                .formatted(where(), feature, texts.size(), floats));
      }
      if (!texts.isEmpty()) {
        if (!texts.get(0).isValidUtf8()) {
          throw new PerformerException(where() + "feature '" + feature + "' is no UTF-8 text");
        }
        return encoder.apply(texts.get(0).toStringUtf8());
      }
      int[] tokens = new int[found.getInt64List().getValueCount()];
      for (int i = 0; i < tokens.length; i++) {
        long id = found.getInt64List().getValue(i);
        if (id < 0 || id >= vocabularySize) {
          throw new PerformerException(
              where() + "token " + id + " is outside 0.." + (vocabularySize - 1));
        }
        tokens[i] = (int) id;
      }
      return tokens;
    }

    private String where() {
      return files.get(file) + ", record " + reader.record() + ": ";
    }
  }
}
