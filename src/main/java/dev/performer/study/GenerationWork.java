package dev.performer.study;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.TokenSteps;
import dev.performer.study.GenerationBenchmark.Case;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.Tensor;
import org.tensorflow.proto.RunMetadata;

/** What {@link GenerationBenchmark} times: a model, texts that grow, and whole prefixes. */
final class GenerationWork implements InTurns.Open {
  private final TokenSteps steps;
  private final List<Growing> growing = new ArrayList<>();
  private final Map<String, InTurns.Work> work = new LinkedHashMap<>();

  GenerationWork(Case of, TokenSteps steps) {
    this.steps = steps;
    int batch = of.size().batch();
    for (int q = 0; q < GenerationBenchmark.QUARTERS; q++) {
      add(of.quarter(q), new Growing(of, batch, of.begin(q), of.begin(q + 1)));
    }
    add(of.more(), new Growing(of, batch * GenerationBenchmark.MORE, 0, of.begin(1)));
    of.lengths().forEach(l -> work.put(Case.again(l), new Again(steps.model(), batch, l)));
  }

  private void add(String name, Growing texts) {
    growing.add(texts);
    work.put(name, texts);
  }

  @Override
  public Map<String, InTurns.Work> work() {
    return work;
  }

  @Override
  public void close() {
    growing.forEach(Growing::close);
    steps.close();
  }

  /** Texts that grow from one length to another, again and again. */
  private final class Growing implements InTurns.Work {
    private final int rows;
    private final int from;
    private final int to;
    private final int tokens;
    private TokenSteps.Texts texts;
    private int length;

    Growing(Case of, int rows, int from, int to) {
      this.rows = rows;
      this.from = Math.max(1, from);
      this.to = to;
      tokens = Math.min(of.tokensOfRun(), to - this.from);
    }

    private void begin() {
      if (texts == null || length + tokens > to) {
        close();
        texts = steps.texts(rows, from);
        length = from;
      }
      length += tokens;
    }

    @Override
    public void run() {
      begin();
      for (int i = 0; i < tokens; i++) {
        texts.step();
      }
    }

    @Override
    public RunMetadata traced() {
      begin();
      return texts.traced(tokens);
    }

    private void close() {
      if (texts != null) {
        texts.close();
      }
    }
  }

  /** The parallel form on rows of one length. */
  private record Again(SavedModelPredictor model, int rows, int length) implements InTurns.Work {
    private static final String SIGNATURE = "serving_default";

    private int[] tokens() {
      int[] tokens = new int[Math.multiplyExact(rows, length)];
      Arrays.fill(tokens, 1);
      return tokens;
    }

    @Override
    public void run() {
      var batch = NpyArray.of(tokens(), rows, length); // [B, L]
      model.predict(SIGNATURE, Map.of(PerformerSignatures.TOKENS, batch));
    }

    @Override
    public RunMetadata traced() {
      var signature = model.directory().signature(SIGNATURE);
      try (Tensor batch = Tensors.of(tokens(), rows, length)) {
        var runner = model.session().runner().setOptions(TimedGraph.TRACE);
        runner.feed(signature.input(PerformerSignatures.TOKENS).tensor(), batch);
        signature.outputs().values().forEach(output -> runner.fetch(output.tensor()));
        try (Result result = runner.runAndFetchMetadata()) {
          return result.getMetadata().orElseThrow();
        }
      }
    }
  }
}
