package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.Row;
import dev.performer.data.RowSink;
import dev.performer.data.RowSource;
import dev.performer.data.TableFile;
import dev.performer.data.TextEncoder;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.BatchParts.Fault;
import dev.performer.pipeline.BatchParts.Part;
import dev.performer.pipeline.RowModel.Item;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** One run of a {@link BatchJob}: its caller's thread reads, others run the model, one writes. */
final class BatchRun {
  private static final int IN_FLIGHT = 3; // windows: one is read, one runs, one is written
  private static final int MOST_FAULTS = 100_000; // in one go, without a row that can be used

  private final BatchJob job;
  private final BatchParts parts; // null where nothing is written
  private final BatchProgress progress;
  private final BatchJob.Listener listener;
  private final TextEncoder encoder;
  private final List<Part> done = new ArrayList<>();
  private final Deque<Object> ahead = new ArrayDeque<>(); // items and faults that are read already
  private BatchPlan plan;
  private RowSink sink;
  private long cropped;
  private volatile boolean isStopped;
  private volatile long doneRows;

  BatchRun(BatchJob job, BatchParts parts, BatchProgress progress, BatchJob.Listener listener) {
    this.job = job;
    this.parts = parts;
    this.progress = progress;
    this.listener = listener;
    TokenInput input = job.model().input();
    encoder = input == null ? null : input.tokenizer().encoder();
  }

  /** Rows that are read, sorted by nothing yet. */
  private record Window(List<Item> items, List<Fault> faults, long cropped, double fraction) {}

  BatchJob.Result all() {
    List<Part> before = parts == null ? List.of() : List.copyOf(parts.parts());
    done.addAll(before);
    long read = before.stream().mapToLong(Part::read).sum();
    long resumed = before.stream().mapToLong(Part::rows).sum();
    if (resumed > 0) {
      progress.message("%s: goes on behind %d rows".formatted(job.output(), resumed));
    }
    ExecutorService pool = Executors.newFixedThreadPool(job.options().workers());
    ExecutorService writer = Executors.newSingleThreadExecutor();
    try (RowSource.Rows rows = job.source().open(read)) {
      if (parts != null && parts.notes() != null) {
        begin(BatchPlan.read(job, parts.notes()));
      }
      Deque<Future<?>> written = new ArrayDeque<>();
      for (Window w = read(rows); w != null; w = read(rows)) {
        Window window = w;
        List<List<Item>> batches = plan.batches(window.items);
        List<Future<List<Object>>> running =
            batches.stream().map(batch -> pool.submit(() -> results(batch))).toList();
        written.add(writer.submit(() -> write(window, batches, running)));
        while (written.size() >= IN_FLIGHT) {
          finished(written.remove());
        }
      }
      for (Future<?> one : written) {
        finished(one);
      }
    } catch (RuntimeException | Error e) {
      isStopped = true;
      throw e;
    } finally {
      end(pool); // before the caller closes the model
      end(writer);
    }
    return finish(resumed);
  }

  private static void end(ExecutorService threads) {
    threads.shutdown();
    boolean isInterrupted = false;
    while (!threads.isTerminated()) {
      try {
        threads.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        isInterrupted = true;
      }
    }
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static <T> T finished(Future<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof Error error) {
        throw error;
      }
      throw (RuntimeException) e.getCause();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("the run was interrupted", e);
    }
  }

  /** The next rows; null behind the last. */
  private Window read(RowSource.Rows rows) {
    if (plan == null) {
      prepare(rows);
    }
    List<Item> items = new ArrayList<>();
    List<Fault> faults = new ArrayList<>();
    long start = cropped;
    double room = BatchPlan.MOST_BYTES;
    while (items.size() < job.options().window() && room > 0) {
      Object next = next(rows);
      if (next == null) {
        break;
      } else if (next instanceof Item item) {
        cropped += item.encoding().cropped() > 0 ? 1 : 0;
        items.add(item);
        room -= plan.bytes(item);
      } else {
        faults.add((Fault) next);
        boolean isUsable = items.size() > 0 || faults.size() < MOST_FAULTS;
        String none = "%s: %d rows one after the other cannot be used: %s";
        require(isUsable, none, job.source().name(), faults.size(), ((Fault) next).why());
        room -= items.isEmpty() ? 0 : 1;
      }
    }
    boolean isEnd = items.isEmpty() && faults.isEmpty();
    return isEnd ? null : new Window(items, faults, cropped - start, rows.fraction());
  }

  /** Looks at the first rows. */
  private void prepare(RowSource.Rows rows) {
    List<Object> first = new ArrayList<>();
    for (Object next = next(rows); next != null; next = next(rows)) {
      first.add(next);
      if (first.size() == BatchPlan.LOOKED_AT) {
        break;
      }
    }
    List<Item> items = first.stream().filter(Item.class::isInstance).map(Item.class::cast).toList();
    boolean isFault = items.isEmpty() && !first.isEmpty();
    String why = isFault ? " that can be used: " + ((Fault) first.get(0)).why() : "";
    require(!items.isEmpty(), "%s: holds no sequence%s", job.source().name(), why);
    begin(BatchPlan.of(job, items));
    if (parts != null) {
      parts.begin(job.key(), plan.notes());
    }
    ahead.addAll(first);
  }

  private void begin(BatchPlan made) {
    plan = made;
    plan.note().ifPresent(progress::message);
    if (parts != null) {
      TokenInput input = job.model().input();
      List<String> tokens = input == null ? List.of() : input.tokenizer().vocabulary().tokens();
      int least = input == null ? 0 : input.length(1);
      sink = RowSink.of(job.output(), plan.all(), tokens, least);
    }
  }

  /** An item, a fault, or null. */
  private Object next(RowSource.Rows rows) {
    if (!ahead.isEmpty()) {
      return ahead.remove();
    }
    Row row = rows.next();
    if (row == null) {
      return null;
    }
    if (row.fault() == null) {
      try {
        return new Item(row, encoding(row));
      } catch (PerformerException e) {
        return fault(row, e.in(row.where()));
      }
    }
    return fault(row, new PerformerException(row.fault()));
  }

  private Fault fault(Row row, PerformerException why) {
    if (!job.options().skipBad()) {
      throw why.settledBy("skipBad");
    }
    return new Fault(row.where(), why.getMessage());
  }

  private Tokenizer.Encoding encoding(Row row) {
    if (row.text() != null) {
      return job.model().input().tokenizer().framed(encoder.encode(row.text()), job.length());
    }
    int kept = Math.min(row.ids().length, job.length());
    int[] ids = Arrays.copyOf(row.ids(), kept);
    return new Tokenizer.Encoding(ids, 0, kept, row.ids().length - kept);
  }

  /** The values of each row, or a fault. */
  private List<Object> results(List<Item> batch) {
    requireGoing();
    int length = plan.length(batch.get(0));
    try {
      return new ArrayList<>(job.model().run(batch, length, plan.own()));
    } catch (PerformerException e) {
      return apart(batch, e);
    }
  }

  /** A part must not stand behind one that is missing. */
  private void requireGoing() {
    if (isStopped) {
      throw new IllegalStateException("another batch has failed");
    }
  }

  /** Finds the rows that fail. */
  private List<Object> apart(List<Item> batch, PerformerException together) {
    List<Object> results = new ArrayList<>();
    int faults = 0;
    for (Item item : batch) {
      try {
        results.addAll(job.model().run(List.of(item), plan.length(item), plan.own()));
      } catch (PerformerException e) {
        results.add(fault(item.row(), e.in(item.row().where())));
        faults++;
      }
    }
    boolean isOfAll = faults == batch.size() && faults > 1;
    if (isOfAll) {
      throw together.in(batch.get(0).row().where());
    }
    return results;
  }

  private void write(Window window, List<List<Item>> batches, List<Future<List<Object>>> running) {
    requireGoing();
    try {
      List<Fault> faults = new ArrayList<>(window.faults);
      Object[][] values = new Object[window.items.size()][];
      var places = new IdentityHashMap<Item, Integer>();
      for (Item item : window.items) {
        places.put(item, places.size());
      }
      for (int b = 0; b < batches.size(); b++) {
        List<Object> results = finished(running.get(b));
        for (int i = 0; i < results.size(); i++) {
          Item item = batches.get(b).get(i);
          if (results.get(i) instanceof Fault fault) {
            faults.add(fault);
          } else {
            values[places.get(item)] = plan.row(item, (Object[]) results.get(i));
          }
        }
      }
      List<Item> items = new ArrayList<>();
      List<Object[]> rows = new ArrayList<>();
      for (int i = 0; i < values.length; i++) {
        if (values[i] != null) {
          items.add(window.items.get(i));
          rows.add(values[i]);
        }
      }
      double[] sums = new double[0];
      for (Object[] row : rows) {
        double[] one = job.model().sums(plan.own(row));
        sums = sums.length == 0 ? new double[one.length] : sums;
        for (int i = 0; i < one.length; i++) {
          sums[i] += one[i];
        }
      }
      long read = window.items.size() + window.faults.size();
      Part part = new Part(read, rows.size(), window.cropped, 0, faults, sums);
      if (parts != null) {
        parts.add(part, sink, rows);
      }
      done.add(part);
      doneRows += rows.size();
      listener.rows(plan.all(), items, rows);
      progress.rows(doneRows, window.fraction);
    } catch (RuntimeException | Error e) {
      isStopped = true;
      throw e;
    }
  }

  private BatchJob.Result finish(long resumed) {
    long rows = done.stream().mapToLong(Part::rows).sum();
    long left = done.stream().mapToLong(part -> part.faults().size()).sum();
    long crops = done.stream().mapToLong(Part::cropped).sum();
    require(rows > 0, "%s: holds no sequence that can be used", job.source().name());
    String note = "%d of %d sequences were cropped to %d tokens";
    Optional<String> encoded = encoder == null ? Optional.empty() : encoder.report();
    String report = encoded.orElse("");
    if (crops > 0) {
      report += (report.isEmpty() ? "" : "; ") + note.formatted(crops, rows, job.length());
    }
    if (!report.isEmpty()) {
      progress.message(job.source().name() + ": " + report);
    }
    Path list = left == 0 || parts == null ? null : faults();
    if (left > 0) {
      String where = list == null ? "" : "; they are listed in " + list;
      progress.message("%d rows were left out%s".formatted(left, where));
    }
    if (parts != null) {
      parts.join(sink);
    }
    double[] sums = new double[job.model().sums(null).length];
    for (Part part : done) {
      for (int i = 0; i < part.sums().length; i++) {
        sums[i] += part.sums()[i];
      }
    }
    return new BatchJob.Result(job.output(), rows, resumed, left, crops, list, sums);
  }

  /** Lists what was left out, in the input's order as far as windows go. */
  private Path faults() {
    Path list = job.output().resolveSibling(job.output().getFileName() + ".skipped.csv");
    DataFile.write(
        list,
        out -> {
          Writer lines = new OutputStreamWriter(out, StandardCharsets.UTF_8);
          lines.append("row,why\n");
          for (Part part : done) {
            for (Fault fault : part.faults()) {
              lines.append(TableFile.field(fault.where())).append(',');
              lines.append(TableFile.field(fault.why())).append('\n');
            }
          }
          lines.flush();
        });
    return list;
  }
}
