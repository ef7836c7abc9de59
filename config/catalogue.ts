/**
 * The well-known course sets by name, so that a stack can say `data: [pets]`.
 *
 * Names are those of fastai's `URLs` in small letters, and a set lands in the folder where fastai's `untar_data` looks for
 * it. Urls, sizes and the MD5 of each file's first MiB are from fastai 2.8.12 (`data/external.py`, `data/download_checks.py`;
 * those of ml_100k from `data/checks.txt` of earlier releases). Nobody publishes a SHA-256 of them: the one seen first is
 * recorded on the host and enforced from then on.
 */

/** A set of the catalogue. */
export interface CatalogueEntry {
  url: string;
  /** Bytes of the file at the url; undefined where fastai's own records disagree. */
  size: number | undefined;
  /** MD5 of its first 2^20 bytes. */
  headMd5: string;
}

const BUCKETS = "https://s3.amazonaws.com/fast-ai-";

/** Name, url (below `BUCKETS` unless it is a whole one), size, MD5 of the first MiB. */
const ROWS: [name: string, url: string, size: number | undefined, headMd5: string][] = [
  ["adult_sample", "sample/adult_sample.tgz", 968212, "64eb9d7e23732de0b138f7372d15492f"],
  ["biwi_sample", "sample/biwi_sample.tgz", 593774, "9179f4c1435f4b291f0d5b072d60c2c9"],
  ["cifar", "sample/cifar10.tgz", 168168549, "a5f8c31371b63a406b23368042812d3c"],
  ["coco_sample", "coco/coco_sample.tgz", 3245877008, "006cd55d633d94b36ecaf661467830ec"],
  ["coco_tiny", "coco/coco_tiny.tgz", 801038, "367467451ac4fba79a647753c2c66d3a"],
  ["human_numbers", "sample/human_numbers.tgz", 30252, "8a19c3bfa2bcb08cd787e741261f3ea2"],
  ["imdb", "nlp/imdb.tgz", 144440600, "90f9b1c4ff43a90d67553c9240dc0249"],
  ["imdb_sample", "sample/imdb_sample.tgz", 571827, "0842e61a9867caa2e6fbdb14fa703d61"],
  ["ml_sample", "sample/movie_lens_sample.tgz", 51790, "10961384dfe7c5181460390a460c1f77"],
  [
    "ml_100k",
    "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    4924029,
    "39f6af2d7ea4e117f8838e4a302fec70",
  ],
  ["mnist_sample", "sample/mnist_sample.tgz", 3214948, "2dbc7ec6f9259b583af0072c55816a88"],
  ["mnist_tiny", "sample/mnist_tiny.tgz", 342207, "56143e8f24db90d925d82a5a74141875"],
  ["mnist_var_size_tiny", "imageclas/mnist_var_size_tiny.tgz", 565372, "b71a930f4eb744a4a143a6c7ff7ed67f"],
  ["planet_sample", "sample/planet_sample.tgz", 15523994, "8bfb174b3162f07fbde09b54555bdb00"],
  ["planet_tiny", "sample/planet_tiny.tgz", 997569, "490873c5683454d4b2611fb1f00a68a9"],
  ["imagenette", "imageclas/imagenette2.tgz", 1557161267, "2c774ecb40005b35d7937d50f5d42336"],
  ["imagenette_160", "imageclas/imagenette2-160.tgz", 99003388, "c475f8f7617a200ba35b9facc48443c3"],
  ["imagenette_320", "imageclas/imagenette2-320.tgz", 341663724, "1f1f74f133caff120e575856659b87a2"],
  ["imagewoof", "imageclas/imagewoof2.tgz", 1343715595, "2cc1c1e36e20cb6fd24ffb978edcb487"],
  ["imagewoof_160", "imageclas/imagewoof2-160.tgz", 92612825, "3559b194123981a540b87132dbda412f"],
  ["imagewoof_320", "imageclas/imagewoof2-320.tgz", 328387740, "7a1fd92672a559a85de76e4810a20c21"],
  ["imagewang", "imageclas/imagewang.tgz", 2900347689, "2b7776bac0fc95db72ac8a3b091a3e30"],
  ["imagewang_160", "imageclas/imagewang-160.tgz", 191498213, "dab9b1d97b95574ac64122a19bc74ca1"],
  ["imagewang_320", "imageclas/imagewang-320.tgz", 669826647, "fff8ac034d60e14fcf7789845e625263"],
  ["dogs", "sample/dogscats.tgz", 839285364, "3e483c8d6ef2175e9d395a6027eb92b7"],
  ["caltech_101", "imageclas/caltech_101.tgz", 131740031, "d673425306e98ee4619fcdeef8a0e876"],
  ["cars", "imageclas/stanford-cars.tgz", 1957803273, "9045d6673c9ced0889f41816f6bf2f9f"],
  ["cifar_100", "imageclas/cifar100.tgz", 169168619, "e5e65dcb54b9d3913f7b8a9ad6607e62"],
  ["cub_200_2011", "imageclas/CUB_200_2011.tgz", 1150585339, "d2acaa99439dff0483c7bbac1bfe2a92"],
  ["flowers", "imageclas/oxford-102-flowers.tgz", 345236087, "5666e01c1311b4c67fcf20d2b3850a88"],
  ["food", "imageclas/food-101.tgz", 5686607260, "1a540ebf1fb40b2bf3f2294234ba7907"],
  ["mnist", "imageclas/mnist_png.tgz", 15683414, "03639f83c4e3d19e0a3a53a8a997c487"],
  ["pets", "imageclas/oxford-iiit-pet.tgz", 811706944, "e4db5c768afd933bb91f5f594d7417a4"],
  ["ag_news", "nlp/ag_news_csv.tgz", 11784419, "b86f328f4dbd072486591cb7a5644dcd"],
  ["amazon_reviews", "nlp/amazon_review_full_csv.tgz", undefined, "4a1196cf0adaea22f4bc3f592cddde90"],
  [
    "amazon_reviews_polarity",
    "nlp/amazon_review_polarity_csv.tgz",
    688339454,
    "676f7e5208ec343c8274b4bb085bc938",
  ],
  ["dbpedia", "nlp/dbpedia_csv.tgz", 68341743, "239c7837b9e79db34486f3de6a00e38e"],
  ["mt_eng_fra", "nlp/giga-fren.tgz", 2598183296, "69573f58e2c850b90f2f954077041d8c"],
  ["sogou_news", "nlp/sogou_news_csv.tgz", 384269937, "950f1366d33be52f5b944f8a8b680902"],
  ["wikitext", "nlp/wikitext-103.tgz", 190200704, "2dd8cf8693b3d27e9c8f0a7df054b2c7"],
  ["wikitext_tiny", "nlp/wikitext-2.tgz", 4070055, "2a82d47a7b85c8b6a8e068dc4c1d37e7"],
  ["yahoo_answers", "nlp/yahoo_answers_csv.tgz", 319476345, "0632a0d236ef3a529c0fa4429b339f68"],
  ["yelp_reviews", "nlp/yelp_review_full_csv.tgz", 196146755, "1efd84215ea3e30d90e4c33764b889db"],
  [
    "yelp_reviews_polarity",
    "nlp/yelp_review_polarity_csv.tgz",
    166373201,
    "48c8451c1ad30472334d856b5d294807",
  ],
  ["biwi_head_pose", "imagelocal/biwi_head_pose.tgz", 452316199, "00f4ccf66e8cba184bc292fdc08fb237"],
  ["camvid", "imagelocal/camvid.tgz", 598913237, "648371e4f3a833682afb39b08a3ce2aa"],
  ["camvid_tiny", "sample/camvid_tiny.tgz", 2314212, "2cf6daf91b7a2083ecfa3e9968e9d915"],
  ["lsun_bedrooms", "imageclas/bedroom.tgz", 4579163978, "35d84f38f8a15fe47e66e460c8800d68"],
  ["pascal_2007", "imagelocal/pascal_2007.tgz", 1637796771, "433b4706eb7c42bd74e7f784e3fdf244"],
  ["pascal_2012", "imagelocal/pascal_2012.tgz", 2618908000, "d90e29e54a4c76c0c6fba8355dcbaca5"],
  [
    "macaques",
    "https://storage.googleapis.com/ml-animal-sounds-datasets/macaques.zip",
    131604586,
    "44fec3950e61d6a898f16fe30bc9c88d",
  ],
  [
    "zebra_finch",
    "https://storage.googleapis.com/ml-animal-sounds-datasets/zebra_finch.zip",
    undefined,
    "91fa9c4ebfc986b9babc2a805a10e281",
  ],
  ["siim_small", "imagelocal/siim_small.tgz", 33276453, "2f88ac350dce1d971ecbb5ec722da75f"],
  ["tcga_small", "imagelocal/tcga_small.tgz", 14744474, "3ceffe7cf522cb1c60e93dc555d8817f"],
];

/** Every set of the catalogue by its name. */
export const CATALOGUE: ReadonlyMap<string, CatalogueEntry> = new Map(
  ROWS.map(([name, url, size, headMd5]) => [
    name,
    { url: url.startsWith("https://") ? url : BUCKETS + url, size, headMd5 },
  ]),
);
