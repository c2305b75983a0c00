package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.performer.PerformerException;
import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.pipeline.RowModel.Item;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What the first rows show: what comes out, how large it is, and which rows may run together. */
final class BatchPlan {
  /** Of a window's results, and of a batch's. */
  static final long MOST_BYTES = 32 << 20;

  /** Rows. */
  static final int LOOKED_AT = 64;

  private static final JsonMapper JSON = new JsonMapper();
  private static final int BUCKET = 8; // tokens: few shapes, and little padding
  private static final double SAME = 1e-5;

  private final BatchJob job;
  private final Notes notes;

  /**
   * What a run that goes on must know.
   *
   * @param own fields of the model
   * @param fixed bytes of a row's results and inputs
   * @param perToken bytes for each of its tokens
   * @param mayPad whether padding changes no result, so that rows of other lengths may run together
   */
  private record Notes(List<Field> own, double fixed, double perToken, boolean mayPad) {}

  private BatchPlan(BatchJob job, Notes notes) {
    this.job = job;
    this.notes = notes;
    Set<String> names = new HashSet<>();
    for (Field field : all()) {
      String twice = "two columns of the output are named '%s'; keep another one, or rename it";
      require(names.add(field.name()), twice, field.name());
    }
  }

  /** The plan that was noted. */
  static BatchPlan read(BatchJob job, JsonNode noted) {
    try {
      return new BatchPlan(job, JSON.treeToValue(noted, Notes.class));
    } catch (JsonProcessingException e) {
      throw new PerformerException(job.output() + ": the manifest of its parts is damaged", e);
    }
  }

  /** Runs a few of some rows. */
  static BatchPlan of(BatchJob job, List<Item> items) {
    RowModel model = job.model();
    List<Item> sorted = items.stream().sorted(Comparator.comparingInt(Item::length)).toList();
    List<Item> samples =
        List.of(sorted.get(sorted.size() / 2), sorted.get(sorted.size() - 1), sorted.get(0));
    PerformerException failure = null;
    List<Field> own = null;
    double fixed = 0;
    double perToken = 0;
    boolean mayPad = true;
    boolean isTried = isOne(model);
    for (Item sample : samples) {
      int length = length(model, sample.length());
      int longer = longer(model, sample.length());
      try {
        own = own == null ? model.fields(sample, length, longer) : own;
        Object[] values = model.run(List.of(sample), length, own).get(0);
        if (fixed == 0) {
          fixed = bytes(sample.row().kept());
          for (int i = 0; i < values.length; i++) {
            double bytes = bytes(values[i]);
            fixed += own.get(i).perToken() ? 0 : bytes;
            perToken += own.get(i).perToken() ? bytes / Math.max(1, sample.length()) : 0;
          }
        }
        if (longer > length) {
          mayPad &= same(values, model.run(List.of(sample), longer, own).get(0));
          isTried = true;
        }
      } catch (PerformerException e) {
        failure = samples.get(0) == samples.get(2) ? e.in(sample.row().where()) : e;
      }
    }
    if (own == null || fixed == 0 && perToken == 0) {
      throw failure;
    }
    return new BatchPlan(job, new Notes(own, fixed, perToken, mayPad && isTried));
  }

  /** Whether rows have one length, whatever they hold. */
  private static boolean isOne(RowModel model) {
    return model.input() == null || model.input().isFixed();
  }

  private static int length(RowModel model, int tokens) {
    return model.input() == null ? 1 : model.input().length(Math.max(1, tokens));
  }

  /** Another length that a row can be padded to; the same if there is none. */
  private static int longer(RowModel model, int tokens) {
    if (model.input() == null) {
      return 1;
    }
    int length = length(model, tokens);
    long most = model.input().limit();
    return length(model, (int) Math.min(most, (long) length + BUCKET + 1));
  }

  private static double bytes(Object... values) {
    double bytes = 0;
    for (Object value : values) {
      bytes += value instanceof NpyArray array ? array.bytes().length : 16;
    }
    return bytes;
  }

  /** Whether the numbers of two rows are those of one. */
  private static boolean same(Object[] row, Object[] other) {
    for (int i = 0; i < row.length; i++) {
      if (row[i] instanceof NpyArray a) {
        NpyArray b = (NpyArray) other[i];
        boolean isFloat = a.type() == NpyType.FLOAT32 || a.type() == NpyType.FLOAT64;
        if (a.size() != b.size() || !isFloat && !a.equals(b) || isFloat && !near(a, b)) {
          return false;
        }
      }
    }
    return true;
  }

  private static boolean near(NpyArray a, NpyArray b) {
    double[] x = a.doubles();
    double[] y = b.doubles();
    double largest = 1;
    double difference = 0;
    for (int i = 0; i < x.length; i++) {
      boolean isEqual = Double.compare(x[i], y[i]) == 0; // NaN and infinities, too
      largest = Math.max(largest, Double.isFinite(x[i]) ? Math.abs(x[i]) : 1);
      difference = Math.max(difference, isEqual ? 0 : Math.abs(x[i] - y[i]));
      if (!isEqual && Double.isNaN(x[i] - y[i])) {
        return false;
      }
    }
    return difference <= SAME * largest;
  }

  JsonNode notes() {
    return JSON.valueToTree(notes);
  }

  /** One line on what costs time. */
  Optional<String> note() {
    String line = "%s: padding changes what it gives, so only sequences of one length run together";
    return notes.mayPad || job.model().input() == null
        ? Optional.empty()
        : Optional.of(line.formatted(job.model().model()));
  }

  /** The fields of the model. */
  List<Field> own() {
    return notes.own;
  }

  /** The fields of rows: the id, what is kept, and the model's. */
  List<Field> all() {
    List<Field> all = new ArrayList<>();
    if (job.model().input() != null) {
      all.addAll(job.source().fields());
    }
    all.addAll(notes.own);
    return all;
  }

  /** The values of {@link #all}. */
  Object[] row(Item item, Object[] own) {
    List<Object> values = new ArrayList<>();
    if (job.model().input() != null) {
      values.add(item.row().id());
      values.addAll(Arrays.asList(item.row().kept()));
    }
    values.addAll(Arrays.asList(own));
    return values.toArray();
  }

  /** The model's of these. */
  Object[] own(Object[] row) {
    return Arrays.copyOfRange(row, row.length - notes.own.size(), row.length);
  }

  /** Bytes of a row's results. */
  double bytes(Item item) {
    return notes.fixed + notes.perToken * item.length();
  }

  /** What a row is padded to. */
  int length(Item item) {
    RowModel model = job.model();
    if (model.input() == null || !notes.mayPad) {
      return length(model, item.length());
    }
    long rounded = (item.length() + BUCKET - 1L) / BUCKET * BUCKET;
    return length(model, (int) Math.min(model.input().limit(), rounded));
  }

  /** The rows of a window that run together, the longest first. */
  List<List<Item>> batches(List<Item> window) {
    List<Item> sorted =
        window.stream().sorted(Comparator.comparingInt(item -> -item.length())).toList();
    List<List<Item>> batches = new ArrayList<>();
    for (int from = 0; from < sorted.size(); ) {
      Item first = sorted.get(from);
      int most = Math.min(sorted.size(), from + rows(first));
      int to = from + 1;
      int shortest = first.length() - Math.max(BUCKET, first.length() / 8);
      while (to < most
          && (notes.mayPad
              ? sorted.get(to).length() >= shortest
              : length(sorted.get(to)) == length(first))) {
        to++;
      }
      batches.add(sorted.subList(from, to));
      from = to;
    }
    return batches;
  }

  private int rows(Item longest) {
    BatchJob.Options options = job.options();
    long rows = Math.min(options.batch(), options.batchTokens() / length(longest));
    rows = Math.max(1, Math.min(rows, (long) (MOST_BYTES / Math.max(1, bytes(longest)))));
    return job.model().input() == null ? (int) rows : job.model().input().rows((int) rows);
  }
}
