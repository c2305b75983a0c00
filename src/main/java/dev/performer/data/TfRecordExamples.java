package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.Excerpt;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.tensorflow.proto.Feature;

/**
 * TFRecord files of {@code tf.train.Example}s, one after the other: a feature of integers is the
 * tokens themselves (as protein_lm's {@code sequence} is), one of bytes is text for the encoder.
 */
public record TfRecordExamples(
    List<Path> files,
    String feature,
    Optional<LabelFeature> label,
    int vocabularySize,
    TextEncoder encoder)
    implements ExampleSource {
  /** The feature that protein_lm's files have. */
  public static final String SEQUENCE = "sequence";

  /** The values of a feature, in place of the first: several numbers, or a class of each token. */
  public enum All {
    NUMBERS,
    TAGS
  }

  /** The first value of a feature, or all: a class, or a number to regress to. */
  public record LabelFeature(String name, boolean category, Optional<All> all) {
    public LabelFeature(String name, boolean category) {
      this(name, category, Optional.empty());
    }

    private Label of(Entry entry) {
      Feature found = entry.feature(name);
      if (all.isPresent()) {
        boolean isNumber = values(found) > 0;
        entry.records.require(isNumber, "label '%s' holds no numbers", name);
        float[] values = array(List.of(found), 1).floats();
        if (all.get() == All.NUMBERS) {
          return new Label.Values(values);
        }
        boolean isWhole = found.hasInt64List();
        entry.records.require(isWhole, "label '%s' holds floats; expected integers", name);
        return new Label.Tags(array(List.of(found), 1).ints());
      }
      if (found.getInt64List().getValueCount() > 0) {
        long value = found.getInt64List().getValue(0);
        boolean isSound = !category || value >= 0 && value <= Integer.MAX_VALUE;
        entry.records.require(isSound, "class %d of '%s' is not from 0 up", value, name);
        return category ? new Label.Category((int) value) : new Label.Value(value);
      }
      boolean fits = !category && found.getFloatList().getValueCount() > 0;
      String kind = found.hasBytesList() ? "bytes" : found.hasFloatList() ? "floats" : "nothing";
      String expected = category ? "an integer" : "a number";
      entry.records.require(fits, "label '%s' holds %s; expected %s", name, kind, expected);
      float number = found.getFloatList().getValue(0);
      boolean isFinite = Float.isFinite(number);
      entry.records.require(isFinite, "label '%s' is %s; expected a finite number", name, number);
      return new Label.Value(number);
    }
  }

  /** The example that was read last. */
  private record Entry(TfRecordFile records, Map<String, Feature> features) {
    /** The next one; null at the end. */
    static Entry next(TfRecordFile records) {
      byte[] data = records.next();
      try {
        return data == null
            ? null
            : new Entry(
                records,
                org.tensorflow.proto.Example.parseFrom(data).getFeatures().getFeatureMap());
      } catch (InvalidProtocolBufferException e) {
        throw records.failure("no tf.train.Example: its bytes are no such message", e);
      }
    }

    Feature feature(String wanted) {
      Feature found = features.get(wanted);
      if (found == null) {
        String there = Excerpt.names(new TreeSet<>(features.keySet()));
        throw records.failure("no feature '%s'; it has [%s]".formatted(wanted, there), null);
      }
      return found;
    }
  }

  /** The features of the first record. */
  public static Set<String> features(Path file) {
    try (TfRecordFile records = new TfRecordFile(file)) {
      Entry first = Entry.next(records);
      require(first != null, "%s holds no record; expected TFRecord", file);
      return new TreeSet<>(first.features().keySet());
    }
  }

  /** Counts the classes of a file: one more than the largest, which takes a pass over it. */
  public static int classes(Path file, String feature) {
    return classes(file, new LabelFeature(feature, true));
  }

  /** The same of a class of each token. */
  public static int tags(Path file, String feature) {
    return classes(file, new LabelFeature(feature, true, Optional.of(All.TAGS)));
  }

  private static int classes(Path file, LabelFeature label) {
    int most = -1;
    try (TfRecordFile records = new TfRecordFile(file)) {
      for (Entry entry = Entry.next(records); entry != null; entry = Entry.next(records)) {
        int[] ids =
            label.of(entry) instanceof Label.Tags tags
                ? tags.ids()
                : new int[] {((Label.Category) label.of(entry)).id()};
        most = Math.max(most, IntStream.of(ids).max().orElse(-1));
        boolean isCounted = most < TableExamples.MOST_CATEGORIES;
        records.require(
            isCounted, "class %d of '%s'; at most 100,000 are counted", most, label.name());
      }
    }
    return most + 1;
  }

  /**
   * Reads features of numbers as arrays {@code [N, values]} into memory: whole numbers int64,
   * others float32, each feature with as many values in every example.
   */
  public static ArrayRows arrays(Path file, List<String> features) {
    Map<String, List<Feature>> read = new LinkedHashMap<>();
    int rows = 0;
    try (TfRecordFile records = new TfRecordFile(file)) {
      for (Entry entry = Entry.next(records); entry != null; entry = Entry.next(records)) {
        rows++;
        for (String feature : features) {
          Feature found = entry.feature(feature);
          boolean isNumber = !found.hasBytesList() && values(found) > 0;
          records.require(isNumber, "feature '%s' holds no numbers", feature);
          List<Feature> all = read.computeIfAbsent(feature, name -> new ArrayList<>());
          all.add(found);
          int expected = values(all.get(0));
          String other = "feature '%s' has %d values; expected %d, as in the first";
          boolean isAlike =
              values(found) == expected && found.hasFloatList() == all.get(0).hasFloatList();
          records.require(isAlike, other, feature, values(found), expected);
        }
      }
    }
    require(rows > 0, "%s holds no record; expected TFRecord", file);
    int count = rows;
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    read.forEach((name, all) -> arrays.put(name, array(all, count)));
    return ArrayRows.of(file.toString(), arrays);
  }

  private static int values(Feature feature) {
    return feature.getFloatList().getValueCount() + feature.getInt64List().getValueCount();
  }

  private static NpyArray array(List<Feature> rows, int count) {
    int width = values(rows.get(0));
    if (!rows.get(0).hasFloatList()) {
      var values = rows.stream().flatMap(row -> row.getInt64List().getValueList().stream());
      return NpyArray.of(values.mapToLong(Long::longValue).toArray(), count, width);
    }
    float[] values = new float[Math.multiplyExact(count, width)];
    for (int i = 0; i < values.length; i++) {
      values[i] = rows.get(i / width).getFloatList().getValue(i % width);
    }
    return NpyArray.of(values, count, width);
  }

  @Override
  public String name() {
    return files.get(0) + (files.size() == 1 ? "" : " and others");
  }

  @Override
  public DataStream<Example> open() {
    Iterator<Path> rest = files.iterator();
    TfRecordFile[] records = {new TfRecordFile(rest.next())};
    boolean[] any = {false};
    return DataStream.of(
        () -> {
          Entry entry = Entry.next(records[0]);
          while (entry == null && rest.hasNext()) {
            records[0].close();
            records[0] = new TfRecordFile(rest.next());
            entry = Entry.next(records[0]);
          }
          any[0] |= entry != null;
          require(any[0], "%s holds no record; expected TFRecord", name());
          return entry == null ? null : example(entry);
        },
        () -> records[0].close());
  }

  private Example example(Entry entry) {
    int[] tokens = tokens(entry);
    Label own = label.map(known -> known.of(entry)).orElse(Label.NONE);
    int classes = own instanceof Label.Tags tags ? tags.ids().length : tokens.length;
    entry.records.require(
        classes == tokens.length, "%d classes for %d tokens", classes, tokens.length);
    return new Example(tokens, own);
  }

  private int[] tokens(Entry entry) {
    Feature found = entry.feature(feature);
    var texts = found.getBytesList().getValueList();
    int floats = found.getFloatList().getValueCount();
    boolean isOne = floats == 0 && texts.size() <= 1;
    String other = "feature '%s' holds %d texts and %d floats; expected one text or integers";
    entry.records.require(isOne, other, feature, texts.size(), floats);
    if (!texts.isEmpty()) {
      entry.records.require(texts.get(0).isValidUtf8(), "feature '%s' is no UTF-8 text", feature);
      return encoder.encode(texts.get(0).toStringUtf8());
    }
    int[] tokens = new int[found.getInt64List().getValueCount()];
    for (int i = 0; i < tokens.length; i++) {
      long id = found.getInt64List().getValue(i);
      if (id < 0 || id >= vocabularySize) {
        String outside = "token %d is outside 0..%d".formatted(id, vocabularySize - 1);
        throw entry.records.failure(outside, null);
      }
      tokens[i] = (int) id;
    }
    return tokens;
  }
}
