package dev.performer.serving;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Continues texts that come and go: each turn reads a piece of a prompt and then one token of every
 * text whose prompt is read. While texts run, the later pieces of long prompts take at most half of
 * the time. What becomes of a text does not depend on the others. One thread at a time takes turns
 * and adds texts; numbers may be read by any.
 */
public final class TokenScheduler implements AutoCloseable {
  private final Decoder decoder;
  private final int chunk;
  private final PrefixCache cache;
  private final Deque<ScheduledText> reading = new ArrayDeque<>();
  private final List<ScheduledText> joining = new ArrayList<>();
  private final Map<Integer, RunningTexts> batches = new TreeMap<>(); // by how long texts become
  private long debt; // nanoseconds of long prompts that steps have not had yet
  private final AtomicLong steps = new AtomicLong();
  private final AtomicLong generated = new AtomicLong();
  private final AtomicLong promptTokens = new AtomicLong();
  private final AtomicLong cachedTokens = new AtomicLong();

  /**
   * On a model that stays its owner's.
   *
   * @param chunk tokens of prompts that a turn reads at most
   * @param cacheBytes memory for the states of prefixes; 0 keeps none
   */
  TokenScheduler(Decoder decoder, int chunk, long cacheBytes) {
    this.decoder = decoder;
    this.chunk = chunk;
    cache = new PrefixCache(decoder.hasStates() ? cacheBytes : 0);
  }

  /** Adds a text. */
  public void add(TokenRequest request, TokenListener listener) {
    reading.add(new ScheduledText(request, listener));
  }

  /** How many texts are on their way. */
  public int size() {
    return reading.size() + joining.size() + (int) running().filter(text -> !text.over()).count();
  }

  /** Steps of the batch so far. */
  public long steps() {
    return steps.get();
  }

  /** Tokens that were chosen. */
  public long generated() {
    return generated.get();
  }

  /** Tokens that were read and not chosen. */
  public long promptTokens() {
    return promptTokens.get();
  }

  /** Tokens of prompts that stood in known states, and were not read. */
  public long cachedTokens() {
    return cachedTokens.get();
  }

  /** Memory of the states of prefixes. */
  public long cacheBytes() {
    return cache.bytes();
  }

  /** Goes on with every text a little. What goes wrong with one is its listener's. */
  public void turn() {
    reading.removeIf(text -> text.endsIfCancelled(() -> null));
    joining.removeIf(text -> text.endsIfCancelled(() -> null));
    running().forEach(text -> text.endsIfCancelled(() -> null));
    read();
    step();
  }

  private Stream<ScheduledText> running() {
    return batches.values().stream().flatMap(batch -> batch.texts().stream());
  }

  /** A piece of some texts that can be read together, each in its turn. */
  private void read() {
    List<ScheduledText> group = new ArrayList<>();
    List<int[]> pieces = new ArrayList<>();
    int longest = 0;
    for (int i = reading.size(); i > 0; i--) {
      ScheduledText text = reading.remove();
      jump(text);
      if (!text.isBeginning() && (!text.reads() || steps(text))) {
        place(text);
        continue;
      }
      if (debt > 0 && !batches.isEmpty() && !text.isBeginning()) {
        reading.add(text);
        continue;
      }
      int[] piece = piece(text);
      int together = Math.max(longest, piece.length);
      if (group.isEmpty() || fits(group, pieces, text, piece, together)) {
        group.add(text);
        pieces.add(piece);
        longest = together;
      } else {
        reading.add(text);
      }
    }
    if (!group.isEmpty()) {
      read(group, pieces);
    }
  }

  /** Takes the states of what is known of a text. */
  private void jump(ScheduledText text) {
    if (mayMeet(text)) {
      TextState known = cache.longest(text.request().ids(), text.read());
      if (known != null) {
        cachedTokens.addAndGet(known.length() - text.read());
        text.state(known, true);
      }
    }
  }

  /** Whether its states are those of every text that begins so, and nothing of them is wished. */
  private boolean mayMeet(ScheduledText text) {
    TokenRequest request = text.request();
    return !cache.isOff() && request.start() == null && !request.scoresPrompt();
  }

  /** Whether the prompt of a text, behind its beginning, is read in the batch. */
  private boolean steps(ScheduledText text) {
    return text.request().scoresPrompt() || decoder.chunk(chunk, false) == 0;
  }

  /** A text whose state is new goes where it is needed next. */
  private void place(ScheduledText text) {
    TextState state = text.state();
    take(text, state.logits(), state::share);
    if (!text.over() && text.reads() && !steps(text)) {
      reading.add(text);
    } else if (!text.over()) {
      joining.add(text);
    }
  }

  private void take(ScheduledText text, float[] logits, Supplier<TextState> states) {
    int before = text.made();
    text.take(logits, states);
    generated.addAndGet(text.made() - before);
  }

  /** What a text reads next. Chunks end at multiples, so that other texts meet them. */
  private int[] piece(ScheduledText text) {
    int[] ids = text.request().ids();
    int read = text.read();
    int count = Math.min(ids.length - read, decoder.chunk(chunk, text.isBeginning()));
    if (text.request().scoresPrompt()) {
      count = Math.min(count, 1 - decoder.limits().shift());
    } else if (decoder.hasStates() && !text.isBeginning()) {
      count = Math.min(count, chunk - read % chunk);
    }
    return Arrays.copyOfRange(ids, read, read + count);
  }

  private boolean fits(
      List<ScheduledText> group, List<int[]> pieces, ScheduledText text, int[] piece, int longest) {
    boolean isBeginning = group.get(0).isBeginning();
    boolean isAlike = isBeginning == text.isBeginning();
    boolean mayJoin = isAlike && (isBeginning || decoder.readsTogether());
    long most = decoder.chunk(chunk, isBeginning);
    if (!mayJoin || (long) longest * (group.size() + 1) > most) {
      return false;
    }
    // What is being read already will be known at the next turn.
    int end = text.read() + piece.length;
    int[] ids = text.request().ids();
    return !mayMeet(text)
        || IntStream.range(0, group.size())
            .noneMatch(
                i ->
                    group.get(i).read() + pieces.get(i).length == end
                        && Arrays.equals(group.get(i).request().ids(), 0, end, ids, 0, end));
  }

  private void read(List<ScheduledText> group, List<int[]> pieces) {
    List<TextState> states;
    long start = System.nanoTime();
    boolean isLong = !group.get(0).isBeginning();
    try {
      // Texts that begin have no state.
      states = decoder.read(group.stream().map(ScheduledText::state).toList(), pieces);
    } catch (RuntimeException | OutOfMemoryError e) {
      group.forEach(text -> text.fail(failure(e)));
      return;
    }
    debt = isLong ? System.nanoTime() - start : debt;
    for (int i = 0; i < group.size(); i++) {
      ScheduledText text = group.get(i);
      promptTokens.addAndGet(pieces.get(i).length);
      text.state(states.get(i), false);
      if (mayMeet(text)) {
        cache.put(text.state());
      }
      place(text);
    }
  }

  static RuntimeException failure(Throwable e) {
    String text = "the model does not run: %s";
    return e instanceof PerformerException known
        ? known
        : new PerformerException(text.formatted(NativeErrors.firstLine(e)), e);
  }

  private void step() {
    Map<Integer, List<ScheduledText>> comers = new TreeMap<>();
    for (ScheduledText text : joining) {
      int batch = batch(text);
      comers.computeIfAbsent(batch, key -> new ArrayList<>()).add(text);
      batches.computeIfAbsent(batch, key -> new RunningTexts(decoder));
    }
    joining.clear();
    batches.forEach((key, batch) -> batch.join(comers.getOrDefault(key, List.of())));
    batches.values().removeIf(batch -> batch.texts().isEmpty());
    long start = System.nanoTime();
    for (RunningTexts batch : batches.values()) {
      promptTokens.addAndGet(batch.texts().stream().filter(ScheduledText::reads).count());
      batch.step(this::take);
      steps.incrementAndGet();
    }
    batches.values().removeIf(batch -> batch.texts().isEmpty());
    debt -= System.nanoTime() - start;
  }

  /**
   * A short text would be padded to the longest, where states grow: such ones run by themselves.
   */
  private int batch(ScheduledText text) {
    long most = text.request().ids().length + (long) text.request().maxTokens();
    return decoder.readsTogether() ? 0 : (64 - Long.numberOfLeadingZeros(most >> 8)) / 2;
  }

  /** Ends every text. */
  public void fail(PerformerException why) {
    List<ScheduledText> all = new ArrayList<>(reading);
    all.addAll(joining);
    running().forEach(all::add);
    reading.clear();
    joining.clear();
    all.stream().filter(text -> !text.over()).forEach(text -> text.fail(why));
    batches.values().forEach(batch -> batch.join(List.of()));
    batches.clear();
  }

  /** Ends every text, and frees what is kept. */
  @Override
  public void close() {
    fail(new PerformerException("the model is being closed"));
    cache.close();
  }
}
