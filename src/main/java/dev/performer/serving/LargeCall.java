package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;

/**
 * A call of more rows than run together. It runs in pieces, so that memory does not grow with it,
 * where its signature has shown that it computes each row by itself.
 */
record LargeCall(JoinedCalls signature, Map<String, NpyArray> inputs, int rows) {
  /** The first rows of a call, of which two pairs that differ prove that rows are apart. */
  private static final int PROVING = 8;

  static LargeCall of(JoinedCalls signature, Map<String, NpyArray> inputs) {
    return new LargeCall(signature, inputs, (int) JoinedCalls.allRows(inputs));
  }

  /** Whether its rows may run apart; runs some of them where that is not known yet. */
  boolean hasPieces() {
    for (int row = 0; row < Math.min(PROVING, rows) - 1 && isOpen(); row++) {
      var pair = List.of(rows(row, row + 1), rows(row + 1, row + 2));
      if (!pair.get(0).equals(pair.get(1))) {
        signature.runJoined(pair);
      }
    }
    return signature.isJoined() && signature.isProven(true);
  }

  private boolean isOpen() {
    return signature.isJoined() && !signature.isProven(true);
  }

  private Map<String, NpyArray> rows(int from, int to) {
    Map<String, NpyArray> some = new LinkedHashMap<>(inputs);
    some.replaceAll((name, array) -> array.rows(from, to));
    return some;
  }

  /**
   * Runs it piece by piece.
   *
   * @param isOver whether nobody waits for it any more
   * @throws dev.performer.PerformerException also if the outputs take a quarter of Java's memory
   */
  Map<String, NpyArray> run(BooleanSupplier isOver) {
    long most = Runtime.getRuntime().maxMemory() / 4;
    long bytes = 0;
    List<Map<String, NpyArray>> parts = new ArrayList<>();
    for (int from = 0; from < rows; ) {
      require(!isOver.getAsBoolean(), "the call was given up after %d of %d rows", from, rows);
      int to = Math.min(rows, from + signature.pieceRows(inputs, rows));
      var part = signature.runAlone(rows(from, to));
      if (!JoinedCalls.hasRows(part, to - from)) {
        return signature.runAlone(inputs);
      }
      bytes += JoinedCalls.bytes(part);
      String text = "the outputs of %d rows take more than %d MB; send fewer at a time";
      require(bytes <= most, text, rows, most >> 20);
      parts.add(part);
      from = to;
    }
    Map<String, NpyArray> joined = new TreeMap<>();
    for (String name : parts.get(0).keySet()) {
      joined.put(name, NpyArray.join(parts.stream().map(part -> part.get(name)).toList()));
    }
    return joined;
  }
}
