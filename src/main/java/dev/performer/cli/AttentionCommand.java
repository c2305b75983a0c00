package dev.performer.cli;

import dev.performer.chart.HeatMap;
import dev.performer.data.DataFile;
import dev.performer.data.RowSource;
import dev.performer.pipeline.AttentionMap;
import dev.performer.pipeline.AttentionMaps;
import dev.performer.pipeline.AttentionReport;
import dev.performer.pipeline.Model;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "attention",
    description = {
      "What each token attends to, in every layer and head of a model that was trained or imported here.",
      "",
      "The matrix that mixes values, which linear attention never computes, row by row: the most important sources of a query, and",
      "how near each head is to exact attention of the same queries and keys. Memory is linear in the length, time is not.",
      "Y.npz has 'sources' and 'weights' [N, layers, H, L, k], 'tokens' [N, S], 'lengths', 'layers', 'distance', 'cosine', 'common'",
      "[N, layers, H]; of sequences of up to "
          + HeatMap.MOST
          + " positions, or of --rows, also 'attention' [N, layers, H, R, S] and its 'queries' [N, R]."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer attention MODEL --inputs x.fasta --plot maps.png",
      "  ./performer attention MODEL --inputs long.txt --length 16384 --rows 0,-1 --output rows.npz"
    })
final class AttentionCommand extends PerformerCommand.OnModel {
  @Mixin private SharedOptions.Sequences sequences;

  @Option(names = "--sequences", paramLabel = "N", description = "How many (default: 1).")
  private int count = 1;

  @Option(names = "--top", paramLabel = "K", description = "Sources of a query (default: 5).")
  private int top = AttentionMaps.Options.DEFAULT.top();

  @Option(names = "--layers", description = "Such as 0,2-5 (default: all).")
  private String layers;

  @Option(
      names = "--rows",
      split = ",",
      description =
          "Positions of queries that are shown, negative ones from the end (default: -1).")
  private List<Integer> rows;

  @Option(
      names = "--output",
      paramLabel = "Y.npz",
      description = "For all weights that were found.")
  private Path target;

  @Option(
      names = "--plot",
      paramLabel = "FILE.png",
      description =
          "Draw the maps of the first sequence, white for 0 and dark for a map's largest.")
  private Path plot;

  @Mixin private SharedOptions.Tensors tensors;

  @Override
  public Integer call() {
    boolean isSound = count >= 1 && top >= 1 && (sequences.length == null || sequences.length >= 1);
    requireUsage(isSound, "--sequences, --top and --length must be at least 1");
    var columns = sequences.columns(List.of());
    List<Path> inputs = sequences.inputs;
    Set<Integer> some = layers == null ? Set.of() : SharedOptions.layers(layers);
    var options = new AttentionMaps.Options(top, some, rows, sequences.length);
    Model opened = Model.open(model, tensors.given());
    List<AttentionMap> maps = new ArrayList<>();
    try (var all = AttentionMaps.load(opened, options, RowSource.isIds(inputs, columns))) {
      all.input().notes().forEach(System.err::println);
      var read = all.read(inputs, columns, count);
      read.report().ifPresent(line -> System.err.println(read.source() + ": " + line));
      for (int i = 0; i < read.names().size(); i++) {
        maps.add(all.of(read.names().get(i), read.ids().get(i)));
      }
    }
    var report = new AttentionReport(opened.config().orElseThrow(), maps);
    if (plot != null) {
      byte[] png = maps.get(0).png();
      DataFile.write(plot, out -> out.write(png));
    }
    text().print(report.table());
    for (AttentionMap map : maps) {
      for (int query : shown(map)) {
        print("");
        text().print(report.sources(map, query));
      }
    }
    if (target != null) {
      write(target, report.arrays());
    }
    return done(report.json(this::shown));
  }

  private int[] shown(AttentionMap map) {
    return rows == null ? new int[] {map.length() - 1} : map.kept();
  }
}
